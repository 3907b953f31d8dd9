"""Learns classes from images and classifies others: python -m ml_lstm.adapt --model=NAME --support=DIR --query=DIR

With --saved_model=MODELS/NAME/1 instead of --model, it uses an exported model.
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

_ONE_CLASS = "The support set has only one class, so every answer is that class, with probability 1: add another class."
_DRAWN_OF_A_CLASS = 20
_DRAWN_SIDE = 64  # pixels


def define_flags() -> None:
    """Defines the flags of `adapt`."""
    flags.DEFINE_string(
        "model", None, "A pretrained model of ml_lstm, see docs/zoo.md; or DIR/NAME, written by zoo.add."
    )
    flags.DEFINE_string("saved_model", None, "Directory of an exported version, MODELS/NAME/<n>.")
    flags.DEFINE_string("support", None, "Directory of the support set: images DIR/<class>/*.")
    flags.DEFINE_string("query", None, "Directory of the images to classify: DIR/*.")
    flags.DEFINE_string("csv", None, "CSV file to write the table to.")
    flags.DEFINE_string("json", None, "JSON file to write the table to, with the probabilities of all classes.")
    flags.DEFINE_integer(
        "top", None, "Number of classes to print for each image, the most probable first.", lower_bound=1
    )
    flags.DEFINE_string(
        "pictures",
        None,
        "FILE.png to draw the support set, the queries and the answers to: one row per class, with at most "
        f"{_DRAWN_OF_A_CLASS} queries.",
    )
    flags.register_validator(
        "pictures", lambda path: path is None or path.lower().endswith(".png"), "give the name of a file, FILE.png"
    )
    flags.DEFINE_boolean("strict", False, "Stop at a file that is not an image, instead of continuing without it.")
    command.require_one_of("model", "saved_model")
    flags.mark_flags_as_required(["support", "query"])


def main() -> None:
    """Prints a table of file, class and probability; on stderr, the model's limits and the files left out."""
    sys.stdout.reconfigure(errors="backslashreplace")  # file names may be any bytes
    sys.stderr.reconfigure(errors="backslashreplace")
    support = {entry: _files(entry) for entry in _folders(_directory(FLAGS.support, "support"))}
    if not support:
        raise UserError(f"{FLAGS.support} has no class folders: put images in {FLAGS.support}/<class>/.")
    queries = _files(_directory(FLAGS.query, "query"))
    if not queries:
        raise UserError(f"{FLAGS.query} has no files{_but_folders(FLAGS.query)}: put the images to classify there.")
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
        raise UserError(f"{FLAGS.query} has no image that the model can read: put PNG, JPEG, GIF or BMP files there.")
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
    from ml_lstm import zoo  # imports the methods, which exported models do not need

    return zoo.picture_classifier(FLAGS.model)


def _support_set(model, support, leave_out):
    """The contents of the files that the model can read, prepared for it, and the class of each."""
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
                f"{directory} has no image that the model can read{_but_folders(directory)}: add one, or remove the "
                "folder."
            )
    return contents, labels


def _directory(path, flag):
    directory = expanded(path)
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory: check --{flag}.")
    return directory


def _folders(directory):
    return [entry for entry in visible(directory) if entry.is_dir()]


def _files(directory):
    return [path for path in visible(directory) if path.is_file()]


def _but_folders(directory):
    """The folders that a directory has instead of images, for a message."""
    inside = _folders(expanded(directory))
    return f", only folders ({listed(inside)})" if inside else ""


def _print_table(answers):
    rows = [("file", "class", *_numbers_told(answers))]
    for path, answer in answers.items():
        best = sorted(answer.probabilities, key=answer.probabilities.get, reverse=True)  # the first among equals
        form = ".1%" if FLAGS.top else ".3f"
        probability, *familiarity = _numbers(answer)
        rows.append((path.name, answer.prediction, f"{probability:{form}}", *(f"{it:.3f}" for it in familiarity)))
        rows += [("", label, f"{answer.probabilities[label]:{form}}") for label in best[1 : FLAGS.top or 1]]
    widths = [max(len(row[column]) for row in rows) for column in range(2)] + [len("probability")]
    for row in rows:
        *columns, last = row
        print("".join(f"{value:<{width}}  " for value, width in zip(columns, widths, strict=False)) + last)


def _numbers(answer):
    """The probability of the predicted class and, for a calibrated model, the familiarity."""
    numbers = [answer.probabilities[answer.prediction]]
    return numbers if answer.familiarity is None else [*numbers, answer.familiarity]


def _numbers_told(answers):
    """The names of the columns of `_numbers`."""
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
