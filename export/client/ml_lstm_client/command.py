"""Learns classes from images: python -m ml_lstm_client --support=DIR --query=DIR --url=http://localhost:8501"""

import argparse
import csv
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ml_lstm_client import picture_files
from ml_lstm_client.client import Answer, Client, ServingError
from ml_lstm_client.folders import listed
from ml_lstm_client.rest_client import RestClient
from ml_lstm_client.whole_files import whole

_NAME = "ml_lstm_client"
_PICTURES_AT_ONCE = 100
_BYTES_AT_ONCE = 8 * 2**20
_BAD_REQUEST = 400
_ONE_CLASS = "The support set has only one class, so every answer is that class, with probability 1: add another class."


class _UserError(ValueError):
    """A problem that the user can fix. Its message is one line: what is wrong, where, what to do."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table of file, class and probability, and the files left out.

    Args:
        arguments: the flags; by default those of the process.

    Raises:
        SystemExit: 1 with a line on stderr for an error, 2 for wrong flags, 130 if interrupted.
    """
    parser = _parser()
    flags = parser.parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # file names may be any bytes
    sys.stderr.reconfigure(errors="backslashreplace")
    if not flags.describe and (flags.support is None or flags.query is None):
        parser.error("the following arguments are required: --support and --query, or --describe")
    try:
        client = _client(flags)
    except ValueError as error:
        parser.error(str(error))
    except ImportError as error:
        _fail(error, 1)
    try:
        with client:
            _describe(client) if flags.describe else _run(client, flags)
    except (_UserError, ServingError) as error:
        _fail(error, 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}.", 1)
    except KeyboardInterrupt:
        _fail("Interrupted.", 130)


def _path(text):
    return Path(os.path.expanduser(text))


def _parser():
    parser = argparse.ArgumentParser(
        prog=_NAME, allow_abbrev=False, description="Classifies images with a served few-shot model."
    )
    parser.add_argument(
        "--support",
        type=_path,
        metavar="DIR",
        help="Directory of the support set: images DIR/<class>/*.",
    )
    parser.add_argument("--query", type=_path, metavar="DIR", help="Directory of the images to classify: DIR/*.")
    parser.add_argument("--describe", action="store_true", help="Print the model card as JSON, and do nothing else.")
    server = parser.add_mutually_exclusive_group()
    server.add_argument(
        "--url", default="http://localhost:8501", help="URL of the server's REST API (default: %(default)s)."
    )
    server.add_argument(
        "--grpc", metavar="HOST:PORT", help="Address of the server's gRPC API, to use it instead of --url."
    )
    parser.add_argument("--model", default="few_shot", help="Name of the model on the server (default: %(default)s).")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("--version", type=int, help="Version of the model (default: the newest).")
    version.add_argument("--label", help="Label of a version in the server's configuration.")
    parser.add_argument("--timeout", type=float, default=60, help="Seconds to wait for an answer (default: 60).")
    parser.add_argument("--csv", type=_path, metavar="FILE", help="CSV file to write the table to.")
    parser.add_argument(
        "--json",
        type=_path,
        metavar="FILE",
        help="JSON file to write the table to, with the probabilities of all classes.",
    )
    parser.add_argument(
        "--strict", action="store_true", help="Stop at a file that is not an image, instead of continuing without it."
    )
    return parser


def _client(flags):
    setting = {name: getattr(flags, name) for name in ("model", "version", "label", "timeout")}
    if flags.grpc is None:
        return RestClient(flags.url, **setting)
    from ml_lstm_client.grpc_client import GrpcClient

    return GrpcClient(flags.grpc, **setting)


def _describe(client):
    print(json.dumps(client.model_card, indent=2, sort_keys=True))


def _run(client, flags):
    support = picture_files.class_folders(_directory(flags.support, "support"))
    if not support:
        raise _UserError(f"{flags.support} has no class folders: put images in {flags.support}/<class>/.")
    queries = picture_files.files(_directory(flags.query, "query"))
    if not queries:
        raise _UserError(f"{flags.query} has no files{_but_folders(flags.query)}: put the images to classify there.")
    limits = client.description.get("limits", [])
    left_out = _LeftOut(flags.strict)
    adaptation = _adapt(client, flags.support, support, left_out)
    answers = {}
    for batch in picture_files.batches(_pictures(client, queries, left_out), _PICTURES_AT_ONCE, _BYTES_AT_ONCE):
        answers |= _classify(client, adaptation, dict(batch), left_out)
    if not answers:
        raise _UserError(f"{flags.query} has no image that the model can read: put PNG, JPEG, GIF or BMP files there.")
    for note in [*limits, *([_ONE_CLASS] if len(support) == 1 else [])]:
        print(f"Note: {note}", file=sys.stderr)
    _print_table(answers)
    if flags.csv:
        _write_csv(flags.csv, answers)
    if flags.json:
        source = {"server": flags.grpc or flags.url, "model": flags.model, "limits": limits}
        _write_json(flags.json, source, answers, left_out.problems)


class _LeftOut:
    """Reports files that are left out, or stops at the first one.

    Attributes:
        problems: what is wrong with each file, by path.
    """

    def __init__(self, strict: bool):
        self._strict = strict
        self.problems = {}

    def add(self, path: Path, problem: str) -> None:
        if self._strict:
            raise _UserError(f"{path}: {problem}")
        self.problems[str(path)] = problem
        print(f"Left out {path}: {problem}", file=sys.stderr)


def _pictures(client, paths, left_out) -> Iterator[tuple[Path, bytes]]:
    for path in paths:
        contents = picture_files.read_picture(path)
        if contents is None:
            left_out.add(path, picture_files.NO_PICTURE)
        else:
            yield path, client.fitted(contents)


def _adapt(client, directory, support, left_out):
    pictures = {path: contents for paths in support.values() for path, contents in _pictures(client, paths, left_out)}
    while True:
        labels = [path.parent.name for path in pictures]
        for name in support:
            if name not in labels:
                raise _UserError(
                    f"{directory / name} has no image that the model can read{_but_folders(directory / name)}: "
                    "add one, or remove the folder."
                )
        try:
            return client.adapt(list(pictures.values()), labels)
        except ServingError as refusal:
            _drop_refused(
                client, refusal, "support_images", pictures, lambda picture: client.adapt([picture], [""]), left_out
            )


def _classify(client: Client, adaptation, pictures: dict[Path, bytes], left_out: _LeftOut) -> dict[Path, Answer]:
    while pictures:
        try:
            return dict(zip(pictures, client.predict(adaptation, list(pictures.values())), strict=True))
        except ServingError as refusal:
            _drop_refused(
                *(client, refusal, "query_images", pictures),
                lambda picture: client.predict(adaptation, [picture]),
                left_out,
            )
    return {}


def _drop_refused(
    client: Client,
    refusal: ServingError,
    argument: str,
    pictures: dict[Path, bytes],
    send_alone: Callable[[bytes], object],
    left_out: _LeftOut,
) -> None:
    """Removes from `pictures` the images that made the server reject them; raises the error if it had another cause."""
    if refusal.code != _BAD_REQUEST:
        raise refusal
    index, problem = _named(refusal, argument)
    if index is not None and index < len(pictures):
        refused = {list(pictures)[index]: problem}
    else:
        # TensorFlow's decoders do not say which image is damaged, or that the problem is an image.
        refused = _refused_alone(client, argument, pictures, send_alone)
    if not refused:
        raise refusal
    for path, problem in refused.items():
        left_out.add(path, problem)
        del pictures[path]


def _refused_alone(client, argument, pictures, send_alone):
    """The server's error for each image that the model cannot read, by path."""
    indices = client.unreadable(list(pictures.values()))
    paths = list(pictures) if indices is None else [list(pictures)[index] for index in indices]
    refused = {} if indices is None else dict.fromkeys(paths, "cannot be read.")
    for path in paths:
        try:
            send_alone(pictures[path])
        except ServingError as refusal:
            if refusal.code != _BAD_REQUEST:
                raise
            _, refused[path] = _named(refusal, argument)
    return refused


def _named(refusal, argument):
    """The index of the image in an error message, or None, and what is wrong with it."""
    named = re.search(rf"{argument}: the image at index (\d+) (.*)", refusal.message)
    return (int(named[1]), named[2]) if named else (None, refusal.message)


def _directory(directory, flag):
    if not directory.is_dir():
        raise _UserError(f"{directory} is not a directory: check --{flag}.")
    return directory


def _but_folders(directory):
    """The folders that a directory has instead of images, for a message."""
    inside = picture_files.folders(directory)
    return f", only folders ({listed(inside)})" if inside else ""


def _print_table(answers):
    rows = [("file", "class", *_numbers_told(answers))]
    for path, answer in answers.items():
        rows.append((path.name, answer.prediction, *(f"{number:.3f}" for number in _numbers(answer))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for *columns, last in rows:
        print("".join(f"{value:<{width}}  " for value, width in zip(columns, widths, strict=True)) + last)


def _numbers(answer):
    """The probability of the predicted class and, for a calibrated model, the familiarity."""
    numbers = [answer.probabilities[answer.prediction]]
    return numbers if answer.familiarity is None else [*numbers, answer.familiarity]


def _numbers_told(answers):
    """The names of the columns of `_numbers`."""
    return ["probability", "familiarity"][: len(_numbers(next(iter(answers.values()))))]


def _write_csv(file_path, answers):
    with whole(file_path) as place, place.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "class", *_numbers_told(answers)])
        for path, answer in answers.items():
            rows.writerow([path, answer.prediction, *_numbers(answer)])


def _write_json(file_path, source, answers, left_out):
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
    table = source | {"answers": listed, "left_out": left_out}
    with whole(file_path) as place:
        place.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n")


def _fail(problem, status):
    print(f"{_NAME}: {' '.join(str(problem).split())}", file=sys.stderr)
    sys.exit(status)
