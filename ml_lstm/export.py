"""Exports a trained run as a SavedModel: python -m ml_lstm.export --run_dir=RUN --export_dir=MODELS/NAME

With --model=NAME instead of --run_dir, it exports a model of the zoo.
"""

import json
import shlex

from absl import flags, logging

from ml_lstm import runs, serving, zoo
from ml_lstm.command_line import command
from ml_lstm.errors import UserError
from ml_lstm.runs.model_card import answering, classes_in_words, model_card

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the flags of `export`."""
    flags.DEFINE_string("run_dir", None, "Directory of a trained run.")
    flags.DEFINE_string(
        "model", None, "A pretrained model of ml_lstm, see docs/zoo.md; or DIR/NAME, written by zoo.add."
    )
    flags.DEFINE_string("export_dir", None, "Directory of the model; a new version is written to EXPORT_DIR/<n>/.")
    flags.DEFINE_integer(
        "inner_steps", None, "Number of inner steps for a support set; if unset, as in training.", lower_bound=1
    )
    command.require_one_of("run_dir", "model")
    flags.mark_flags_as_required(["export_dir"])


def main() -> None:
    """Writes the next version and prints what inputs it accepts."""
    method, card = _from_the_zoo() if FLAGS.model is not None else _trained()
    if FLAGS.inner_steps is not None:
        if method.served_inner_steps is None:
            raise UserError(f"{card['method']} has no inner steps: leave out --inner_steps.")
        if FLAGS.inner_steps != method.served_inner_steps:
            card["limits"].append(
                f"It adapts in {FLAGS.inner_steps} steps, but was evaluated with {method.served_inner_steps}."
            )
        method.served_inner_steps = FLAGS.inner_steps
    card |= answering(method)
    height, width, channels = card["image_shape"]
    version = serving.export_version(
        method, (height, width, channels), FLAGS.export_dir, json.dumps(card, indent=2, sort_keys=True)
    )
    print(
        f"Exported to {version}: {classes_in_words(method)}, images of any size with {channels} channel(s), "
        f"resized to {height}x{width}.\n"
        f"Next:\n"
        f"  python -m ml_lstm.adapt --saved_model={shlex.quote(str(version))} --support=DIR --query=DIR\n"
        f"  python -m ml_lstm.serve --model_base_path={shlex.quote(str(version.parent))}"
        "    # a running server loads a new version automatically"
    )


def _trained():
    """The method of a run, and its model card."""
    run = runs.RunDirectory(FLAGS.run_dir)
    method, episodes, _ = runs.trained_method(run)
    card = model_card(run, method, episodes)
    # Only figures for these weights and this number of steps: the run may have been trained further after an
    # evaluation.
    card["figures"] = [
        found
        for found in run.evaluations()
        if found["train_episodes"] == episodes and found["inner_steps"] in (None, FLAGS.inner_steps)
    ]
    if not card["figures"]:
        card["limits"].append("The accuracy of these weights was not measured before they were exported.")
    return method, card


def _from_the_zoo():
    entry = zoo.find(FLAGS.model)
    return entry.method(), dict(entry.card)


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
