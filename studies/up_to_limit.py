"""`evaluate`; for problems with more classes than a run allows, the result is this limit."""

from absl import flags, logging

from ml_lstm import evaluate
from ml_lstm.command_line import command, records
from ml_lstm.paths import expanded

FLAGS = flags.FLAGS


def main() -> None:
    """Evaluates; or writes `{"most_classes": ...}` to --json."""
    try:
        evaluate.main()
    except evaluate.TooManyClasses as error:
        print(error)
        records.write_json(expanded(FLAGS.json), {"most_classes": error.most_classes})


if __name__ == "__main__":
    evaluate.define_flags()
    flags.mark_flag_as_required("json")
    logging.set_verbosity(logging.WARNING)
    command.run(main)
