"""Makes a model of the zoo of a trained run: python -m ml_lstm.zoo.add --run_dir=RUN --name=NAME ..."""

from absl import flags, logging

from ml_lstm.command_line import command
from ml_lstm.paths import for_tensorflow
from ml_lstm.runs import RunDirectory
from ml_lstm.zoo.entries import SHIPPED, write_entry

FLAGS = flags.FLAGS


def define_flags() -> None:
    """What `zoo.add` takes."""
    flags.DEFINE_string("run_dir", None, "Directory of a trained run.")
    flags.DEFINE_string("name", None, "Of the model; one that is there is replaced.")
    flags.DEFINE_string("zoo_dir", str(SHIPPED), "Where models are; by default in the package, to be shipped with it.")
    flags.DEFINE_string("trained_on", None, "Card: a sentence on the images and classes that it was trained on.")
    flags.DEFINE_string("licence", None, "Card: of the weights, and of what they were trained on.")
    flags.DEFINE_string("confidence", None, "Card: a sentence on how far to trust its probabilities.")
    flags.DEFINE_multi_string("bad_at", None, "Card: a sentence on what it is bad at; may be given several times.")
    flags.mark_flags_as_required(["run_dir", "name", "trained_on", "licence", "confidence", "bad_at"])


def main() -> None:
    """Writes the entry and says how large it is."""
    words = {"trained_on": FLAGS.trained_on, "licence": FLAGS.licence, "confidence": FLAGS.confidence}
    path = for_tensorflow(FLAGS.zoo_dir) / FLAGS.name
    entry = write_entry(RunDirectory(FLAGS.run_dir), words | {"bad_at": FLAGS.bad_at}, path)
    size = sum(file.stat().st_size for file in path.iterdir())
    print(
        f"{entry.name}: {entry.card['train_episodes']} episodes of {FLAGS.run_dir}, {size / 1e6:.1f} MB in {path}.\n"
        f"Next:\n"
        f"  python -m ml_lstm.adapt --model={entry.name} --support=DIR --query=DIR"
    )


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
