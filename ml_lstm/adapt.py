"""Learns classes from pictures: python -m ml_lstm.adapt --saved_model=MODELS/NAME/1 --support=DIR --query=DIR"""

import csv
import sys

from absl import flags, logging

from ml_lstm.command_line import command, records
from ml_lstm.errors import UserError
from ml_lstm.folders import listed, visible
from ml_lstm.paths import expanded
from ml_lstm.serving.exported import ExportedClassifier, NoPictureError
from ml_lstm.whole_files import whole

FLAGS = flags.FLAGS


def define_flags() -> None:
    """What `adapt` takes."""
    flags.DEFINE_string("saved_model", None, "Directory of an exported version, MODELS/NAME/<n>.")
    flags.DEFINE_string("support", None, "Directory of the support set: pictures DIR/<class>/*.")
    flags.DEFINE_string("query", None, "Directory of the pictures to classify: DIR/*.")
    flags.DEFINE_string("csv", None, "File to write the table to, as CSV.")
    flags.DEFINE_string("json", None, "File to write the table to, as JSON with the probabilities of all classes.")
    flags.DEFINE_boolean("strict", False, "Stop at a file that is no picture, rather than go on with the others.")
    flags.mark_flags_as_required(["saved_model", "support", "query"])


def main() -> None:
    """Prints a table of file, class and probability; on stderr the limits of the model, and what was left out."""
    sys.stdout.reconfigure(errors="backslashreplace")  # file names may be any bytes
    sys.stderr.reconfigure(errors="backslashreplace")
    support = {entry: _files(entry) for entry in _folders(_directory(FLAGS.support, "support"))}
    if not support:
        raise UserError(f"{FLAGS.support} has no class folder: put pictures in {FLAGS.support}/<class>/.")
    queries = _files(_directory(FLAGS.query, "query"))
    if not queries:
        raise UserError(f"{FLAGS.query} has no file{_but_folders(FLAGS.query)}: put the pictures to classify there.")
    model = ExportedClassifier(FLAGS.saved_model)
    for limit in model.card.get("limits", []):
        print(f"Note: {limit}", file=sys.stderr)
    skipped = {}

    def leave_out(path, problem):
        if FLAGS.strict:
            raise UserError(f"{path}: {problem}")
        skipped[str(path)] = str(problem)
        print(f"Left out {path}: {problem}", file=sys.stderr)

    contents, labels = [], []
    for directory, paths in support.items():
        for path in paths:
            picture = model.fitted(path.read_bytes())
            try:
                model.require_picture(picture)
            except NoPictureError as problem:
                leave_out(path, problem)
            else:
                contents.append(picture)
                labels.append(directory.name)
        if directory.name not in labels:
            raise UserError(
                f"{directory} has no picture that the model can read{_but_folders(directory)}: add one, or remove the "
                "folder."
            )
    adaptation = model.adapt(contents, labels)
    answers = {}
    for path in queries:
        try:
            answers[path] = model.classify(adaptation, model.fitted(path.read_bytes()))
        except NoPictureError as problem:
            leave_out(path, problem)
    if not answers:
        raise UserError(f"{FLAGS.query} has no picture that the model can read.")
    _print_table(answers)
    if FLAGS.csv:
        _write_csv(answers)
    if FLAGS.json:
        _write_json(answers, skipped, model.card.get("limits", []))


def _directory(path, flag):
    directory = expanded(path)
    if not directory.is_dir():
        raise UserError(f"{directory} is no directory: check --{flag}.")
    return directory


def _folders(directory):
    return [entry for entry in visible(directory) if entry.is_dir()]


def _files(directory):
    return [path for path in visible(directory) if path.is_file()]


def _but_folders(directory):
    """For a message: what is there in place of pictures."""
    inside = _folders(expanded(directory))
    return f", but folders ({listed(inside)})" if inside else ""


def _print_table(answers):
    rows = [("file", "class", "probability")]
    rows += [
        (path.name, answer.prediction, f"{answer.probabilities[answer.prediction]:.3f}")
        for path, answer in answers.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, prediction, probability in rows:
        print(f"{name:<{widths[0]}}  {prediction:<{widths[1]}}  {probability}")


def _write_csv(answers):
    with (
        whole(expanded(FLAGS.csv)) as place,
        place.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(["file", "class", "probability"])
        for path, answer in answers.items():
            rows.writerow([path, answer.prediction, answer.probabilities[answer.prediction]])


def _write_json(answers, skipped, limits):
    listed = [
        {
            "file": str(path),
            "class": answer.prediction,
            "probability": answer.probabilities[answer.prediction],
            "probabilities": answer.probabilities,
        }
        for path, answer in answers.items()
    ]
    told = {"saved_model": FLAGS.saved_model, "limits": limits, "answers": listed, "left_out": skipped}
    records.write_json(expanded(FLAGS.json), told)


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
