"""Adds a trained run to the zoo as a model: python -m ml_lstm.zoo.add --run_dir=RUN --name=NAME ..."""

import shlex

from absl import flags, logging

from ml_lstm.command_line import command, devices, records
from ml_lstm.paths import expanded, for_tensorflow
from ml_lstm.runs import RunDirectory, settings
from ml_lstm.zoo.calibrating import calibrate
from ml_lstm.zoo.entries import SHIPPED, write_entry

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the flags of `zoo.add`."""
    flags.DEFINE_string("run_dir", None, "Directory of a trained run.")
    flags.DEFINE_string("name", None, "Name of the model; an existing one is replaced.")
    flags.DEFINE_string("zoo_dir", str(SHIPPED), "Directory of models; by default the package, which ships them.")
    flags.DEFINE_string("trained_on", None, "Card: a sentence on the images and classes that it was trained on.")
    flags.DEFINE_string("licence", None, "Card: licence of the weights, and of the data they were trained on.")
    flags.DEFINE_string("confidence", None, "Card: a sentence on how far to trust its probabilities.")
    flags.DEFINE_multi_string("bad_at", None, "Card: a sentence on what it is bad at; may be given several times.")
    flags.DEFINE_integer(
        "episodes",
        200,
        "Number of meta-validation episodes to calibrate with, and of meta-test episodes to judge by.",
        lower_bound=2,
    )
    flags.DEFINE_string(
        "json", None, "File for the results of the calibration, docs/results/zoo_NAME_calibration.json."
    )
    settings.define_flags(only_free=True, but=("episodes", "validate_train_classes"))
    flags.mark_flags_as_required(["run_dir", "name", "trained_on", "licence", "confidence", "bad_at"])


def main() -> None:
    """Writes the entry and prints its size."""
    run = RunDirectory(FLAGS.run_dir)
    data = settings.load_data(run.values(**settings.given()))
    run.require_classes(data.class_digest())
    words = {"trained_on": FLAGS.trained_on, "licence": FLAGS.licence, "confidence": FLAGS.confidence}
    path = for_tensorflow(FLAGS.zoo_dir) / FLAGS.name
    entry = write_entry(run, words | {"bad_at": FLAGS.bad_at}, path)
    found = calibrate(entry, data, FLAGS.episodes)
    if FLAGS.json:
        _write(entry, found)
    model = entry.name if path.parent == SHIPPED else path
    size = sum(file.stat().st_size for file in path.iterdir())
    print(
        f"{entry.name}: {entry.card['train_episodes']} episodes of {FLAGS.run_dir}, {size / 1e6:.1f} MB in {path}.\n"
        f"{_in_words(found)}\n"
        f"Next:\n"
        f"  python -m ml_lstm.adapt --model={shlex.quote(str(model))} --support=DIR --query=DIR"
    )


def _in_words(found):
    return "\n".join(
        f"  {found['n_way']}-way {test['k_shot']}-shot: probabilities are off by {test['calibration_error']:.1%} on "
        f"average, uncalibrated by {test['uncalibrated_error']:.1%}. It recognises {test['found']:.0%} of the images "
        f"of unknown classes as such, at {test['false_alarms']:.1%} false alarms."
        for test in found["tests"]
    )


def _write(entry, found):
    path = expanded(FLAGS.json)
    about = {"model": entry.name, "train_episodes": entry.card["train_episodes"], "flags": entry.card["flags"]}
    records.write_json(path, about | {"commit": records.commit(), "device": devices.describe()} | found)
    entry.write_card(entry.card | {"calibration": entry.card["calibration"] | {"result": path.name}})


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
