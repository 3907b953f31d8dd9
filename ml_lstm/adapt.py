"""Learns classes from pictures: python -m ml_lstm.adapt --model=NAME --support=DIR --query=DIR

With --saved_model=MODELS/NAME/1 in place of --model it is an export that learns.
"""

import csv
import io
import sys

import numpy as np
from absl import flags, logging
from PIL import Image

from ml_lstm.command_line import command, records
from ml_lstm.errors import UserError
from ml_lstm.folders import listed, visible
from ml_lstm.paths import expanded
from ml_lstm.plots.drawing import square
from ml_lstm.plots.episode_sheet import episode_sheet
from ml_lstm.serving.exported import ExportedClassifier, NoPictureError
from ml_lstm.whole_files import whole

FLAGS = flags.FLAGS

_ONE_CLASS = "The support set has one class, which is every answer, with probability 1: add pictures of another class."
_DRAWN_OF_A_CLASS = 20
_DRAWN_SIDE = 64  # pixels


def define_flags() -> None:
    """What `adapt` takes."""
    flags.DEFINE_string(
        "model", None, "A model that comes with ml_lstm, see docs/zoo.md; or DIR/NAME, as zoo.add wrote."
    )
    flags.DEFINE_string("saved_model", None, "Directory of an exported version, MODELS/NAME/<n>.")
    flags.DEFINE_string("support", None, "Directory of the support set: pictures DIR/<class>/*.")
    flags.DEFINE_string("query", None, "Directory of the pictures to classify: DIR/*.")
    flags.DEFINE_string("csv", None, "File to write the table to, as CSV.")
    flags.DEFINE_string("json", None, "File to write the table to, as JSON with the probabilities of all classes.")
    flags.DEFINE_integer(
        "top", None, "How many classes to print of each picture, the most probable first.", lower_bound=1
    )
    flags.DEFINE_string(
        "pictures",
        None,
        "FILE.png to draw the support set, the queries and the answers in: a row a class, at most "
        f"{_DRAWN_OF_A_CLASS} queries in it.",
    )
    flags.register_validator(
        "pictures", lambda path: path is None or path.lower().endswith(".png"), "give the name of a file, FILE.png"
    )
    flags.DEFINE_boolean("strict", False, "Stop at a file that is no picture, rather than go on with the others.")
    command.require_one_of("model", "saved_model")
    flags.mark_flags_as_required(["support", "query"])


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
    model = _model()
    skipped = {}

    def leave_out(path, problem):
        if FLAGS.strict:
            raise UserError(f"{path}: {problem}")
        skipped[str(path)] = str(problem)
        print(f"Left out {path}: {problem}", file=sys.stderr)

    contents, labels = _support_set(model, support, leave_out)
    adaptation = model.adapt(contents, labels)
    answers, thumbnails = {}, []
    for path in queries:
        picture = model.fitted(path.read_bytes())
        try:
            answers[path] = model.classify(adaptation, picture)
        except NoPictureError as problem:
            leave_out(path, problem)
        else:
            thumbnails += [square(picture, _DRAWN_SIDE)] if FLAGS.pictures else []
    if not answers:
        raise UserError(f"{FLAGS.query} has no picture that the model can read.")
    limits = model.card.get("limits", [])
    for note in [*limits, *([_ONE_CLASS] if len(support) == 1 else [])]:
        print(f"Note: {note}", file=sys.stderr)
    _print_table(answers)
    if FLAGS.csv:
        _write_csv(answers)
    if FLAGS.json:
        _write_json(answers, skipped, limits)
    if FLAGS.pictures:
        _draw([square(picture, _DRAWN_SIDE) for picture in contents], labels, thumbnails, answers)


def _model():
    if FLAGS.saved_model is not None:
        return ExportedClassifier(FLAGS.saved_model)
    from ml_lstm import zoo  # needs the methods, which what reads exports does without

    return zoo.picture_classifier(FLAGS.model)


def _support_set(model, support, leave_out):
    """Files that the model can read, ready for it, and the class of each."""
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
    return contents, labels


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
    rows = [("file", "class", *_numbers_told(answers))]
    for path, answer in answers.items():
        best = sorted(answer.probabilities, key=answer.probabilities.get, reverse=True)  # of equals, the first
        form = ".1%" if FLAGS.top else ".3f"
        probability, *familiarity = _numbers(answer)
        rows.append((path.name, answer.prediction, f"{probability:{form}}", *(f"{it:.3f}" for it in familiarity)))
        rows += [("", label, f"{answer.probabilities[label]:{form}}") for label in best[1 : FLAGS.top or 1]]
    widths = [max(len(row[column]) for row in rows) for column in range(2)] + [len("probability")]
    for row in rows:
        *columns, last = row
        print("".join(f"{value:<{width}}  " for value, width in zip(columns, widths, strict=False)) + last)


def _numbers(answer):
    """The probability of the class that was predicted, and the familiarity, of a calibrated model."""
    numbers = [answer.probabilities[answer.prediction]]
    return numbers if answer.familiarity is None else [*numbers, answer.familiarity]


def _numbers_told(answers):
    """What those are called."""
    return ["probability", "familiarity"][: len(_numbers(next(iter(answers.values()))))]


def _write_csv(answers):
    with (
        whole(expanded(FLAGS.csv)) as place,
        place.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(["file", "class", *_numbers_told(answers)])
        for path, answer in answers.items():
            rows.writerow([path, answer.prediction, *_numbers(answer)])


def _write_json(answers, skipped, limits):
    listed = [
        {
            "file": str(path),
            "class": answer.prediction,
            "probability": answer.probabilities[answer.prediction],
            "probabilities": answer.probabilities,
            **({} if answer.familiarity is None else {"familiarity": answer.familiarity}),
        }
        for path, answer in answers.items()
    ]
    source = {"model": FLAGS.model} if FLAGS.model else {"saved_model": FLAGS.saved_model}
    told = source | {"limits": limits, "answers": listed, "left_out": skipped}
    records.write_json(expanded(FLAGS.json), told)


def _draw(support, labels, queries, answers):
    classes = list(dict.fromkeys(labels))
    sheet = episode_sheet(
        np.stack(support),
        np.array([classes.index(label) for label in labels]),
        np.stack(queries),
        None,
        np.array([[answer.probabilities[label] for label in classes] for answer in answers.values()]),
        classes,
        [path.stem for path in answers],
        max_queries_per_class=_DRAWN_OF_A_CLASS,
        cell=_DRAWN_SIDE,
    )
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    expanded(FLAGS.pictures).write_bytes(file.getvalue())


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
