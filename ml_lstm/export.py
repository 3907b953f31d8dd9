"""Exports a trained run as a SavedModel: python -m ml_lstm.export --run_dir=RUN --export_dir=MODELS/NAME"""

import json
import shlex

from absl import flags, logging

from ml_lstm import runs, serving
from ml_lstm.command_line import command, records
from ml_lstm.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    """What `export` takes."""
    flags.DEFINE_string("run_dir", None, "Directory of a trained run.")
    flags.DEFINE_string("export_dir", None, "Directory of the model; a new version is written to EXPORT_DIR/<n>/.")
    flags.DEFINE_integer(
        "inner_steps", None, "Updates of the learner for a support set; unset: as in training.", lower_bound=1
    )
    flags.mark_flags_as_required(["run_dir", "export_dir"])


def main() -> None:
    """Writes the next version and says what it takes."""
    run = runs.RunDirectory(FLAGS.run_dir)
    method, episodes, _ = runs.trained_method(run)
    inner_steps = method.served_inner_steps
    if FLAGS.inner_steps is not None:
        if inner_steps is None:
            raise UserError(f"{run.bound()['method']} has no inner steps: leave out --inner_steps.")
        method.served_inner_steps = FLAGS.inner_steps
    height, width, channels = run.problem().image_shape
    # Of these weights; a run may have been evaluated, and gone on.
    evaluations = [found for found in run.evaluations() if found["train_episodes"] == episodes]
    card = {
        "method": run.bound()["method"],
        "train_episodes": episodes,
        "most_classes": method.most_classes,
        "image_shape": [height, width, channels],
        "inner_steps": FLAGS.inner_steps or inner_steps,
        "flags": run.bound(),
        "commit": records.commit(),
        "evaluations": evaluations,
        "limits": _limits(run, method, inner_steps, evaluations),
    }
    version = serving.export_version(
        method, (height, width, channels), FLAGS.export_dir, json.dumps(card, indent=2, sort_keys=True)
    )
    print(
        f"Exported to {version}: {_classes(method)}, images of any size with {channels} channel(s), "
        f"resized to {height}x{width}.\n"
        f"Next:\n"
        f"  python -m ml_lstm.adapt --saved_model={shlex.quote(str(version))} --support=DIR --query=DIR\n"
        f"  python -m ml_lstm.serve --model_base_path={shlex.quote(str(version.parent))}"
        "    # one that runs there takes up a new version by itself"
    )


def _classes(method):
    return "any number of classes" if method.most_classes is None else f"at most {method.most_classes} classes"


def _limits(run, method, inner_steps, evaluations):
    """What the one who uses the model should know beforehand, in sentences."""
    trained = run.bound()
    height, width, channels = run.problem().image_shape
    limits = [
        f"{_classes(method).capitalize()} in a support set; meta-training had up to {method.n_way}.",
        f"Images are resized to {height}x{width} pixels of {channels} channel(s), whatever their proportions; an "
        f"encoded image may have at most {serving.MAX_PIXELS} pixels.",
        f"Meta-trained on {trained['dataset']}: on other kinds of images expect less than was measured there.",
        "Every query gets one of the support set's classes: none stands for something else.",
    ]
    if not evaluations:
        limits.append("The accuracy of these weights was not measured before they were exported.")
    if FLAGS.inner_steps not in (None, inner_steps):
        limits.append(f"It adapts in {FLAGS.inner_steps} steps; it was evaluated with {inner_steps}.")
    return limits


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
