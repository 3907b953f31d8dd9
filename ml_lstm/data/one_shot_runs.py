"""The one-shot classification of Lake et al. (2015): twenty runs, each of twenty characters of one alphabet."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from ml_lstm.data.errors import DataError
from ml_lstm.data.prepared import one_line
from ml_lstm.data.sources import omniglot
from ml_lstm.paths import expanded

RUNS = 20
CHARACTERS = 20  # in a run, which has as many trials

_ALPHABETS = 10
_SIDE = 105  # pixels
_LARGEST_FILE = 2**16  # bytes; those of Omniglot have hundreds
_LARGEST_ARCHIVE = 2**24


class OneShotRun(NamedTuple):
    """A run.

    Attributes:
        name: its name.
        training: PNG files of `CHARACTERS` characters by one drawer.
        test: PNG files of the same characters by another drawer.
        answers: for each of `test`, the index of its character in `training`.
    """

    name: str
    training: tuple[bytes, ...]
    test: tuple[bytes, ...]
    answers: tuple[int, ...]


def drawn(data_dir: str | None, seed: int = 0) -> list[OneShotRun]:
    """Samples new runs by the rule of the published ones, with other characters and drawers.

    Each of ten evaluation alphabets gives two runs: `CHARACTERS` characters, uniformly, and two of the twenty drawers,
    one for training and one for the test (section 4.3 of Koch et al. 2015).

    Args:
        data_dir: see `omniglot.load`.
        seed: determines the runs.

    Raises:
        DataError: see `omniglot.evaluation_drawings`.
    """
    drawings = omniglot.evaluation_drawings(data_dir)
    alphabets: dict[str, list[str]] = {}
    for name in sorted(drawings):
        alphabets.setdefault(omniglot.alphabet_of(name), []).append(name)
    rng = np.random.default_rng(seed)
    large = [alphabet for alphabet, names in alphabets.items() if len(names) >= CHARACTERS]
    runs = []
    for alphabet in rng.choice(large, _ALPHABETS, replace=False).tolist():
        for half in range(RUNS // _ALPHABETS):
            names = rng.choice(alphabets[alphabet], CHARACTERS, replace=False).tolist()
            ours, theirs = rng.choice(omniglot.DRAWERS, 2, replace=False).tolist()
            training, test = (tuple(drawings[name][drawer] for name in names) for drawer in (ours, theirs))
            runs.append(OneShotRun(f"{alphabet} {half + 1}", training, test, tuple(range(CHARACTERS))))
    return runs


def published(path: str) -> list[OneShotRun]:
    """Reads the published runs, on which people and Bayesian program learning were tested.

    Args:
        path: path of `all_runs.zip`, from `python/one-shot-classification` of github.com/brendenlake/omniglot. It
            holds `run01` to `run20`, each with `class_labels.txt`; each line of that file names a test image and the
            training image of the same character.

    Raises:
        DataError: if the file is missing, is not this archive, or is damaged.
    """
    place = expanded(path)
    try:
        if place.stat().st_size > _LARGEST_ARCHIVE:
            raise ValueError(f"it has more than {_LARGEST_ARCHIVE} bytes")
        with zipfile.ZipFile(place) as archive:
            return list(_runs(archive))
    except FileNotFoundError:
        raise DataError(f"{place} does not exist: give the path of Omniglot's all_runs.zip.") from None
    except IsADirectoryError:
        raise DataError(f"{place} is a directory: give the path of Omniglot's all_runs.zip, not unpacked.") from None
    # zipfile raises RuntimeError for a password, NotImplementedError for an unknown compression, EOFError and zlib's
    # error for damage; Pillow raises almost any type.
    except Exception as error:
        raise _not_that(place, one_line(error)) from None


def _not_that(place: Path, reason: str) -> DataError:
    return DataError(
        f"{place} is not Omniglot's all_runs.zip, or is damaged ({reason}): use "
        "python/one-shot-classification/all_runs.zip from github.com/brendenlake/omniglot."
    )


def _runs(archive: zipfile.ZipFile) -> Iterator[OneShotRun]:
    lists = {}
    for name in archive.namelist():
        found = re.fullmatch(r"(?:.*/)?(run\d\d)/class_labels\.txt", name)
        if found and not name.startswith("__MACOSX/"):
            if found[1] in lists:
                raise ValueError(f"it contains {found[1]} twice")
            lists[found[1]] = name
    names = [f"run{number:02d}" for number in range(1, RUNS + 1)]
    for name in names:
        if name not in lists:
            raise ValueError(f"it contains no {name}/class_labels.txt")
        yield _run(archive, name, PurePosixPath(lists[name]))


def _run(archive: zipfile.ZipFile, name: str, listed: PurePosixPath) -> OneShotRun:
    # The beginning of the paths in a list depends on the version of the archive; their last two parts do not.
    lines = _read(archive, listed).decode("ascii").splitlines()
    pairs = [tuple("/".join(path.split("/")[-2:]) for path in line.split()) for line in lines if line.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{listed} has a line that is not a pair of paths")
    tests, trainings = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    if not len(pairs) == len(tests) == len(trainings) == CHARACTERS:
        raise ValueError(f"{listed} does not pair {CHARACTERS} test images with {CHARACTERS} training images")
    training, test = (tuple(_image(archive, listed.parent / path) for path in paths) for paths in (trainings, tests))
    of_test = dict(pairs)
    return OneShotRun(name, training, test, tuple(trainings.index(of_test[path]) for path in tests))


def _image(archive: zipfile.ZipFile, path: PurePosixPath) -> bytes:
    contents = _read(archive, path)
    with Image.open(io.BytesIO(contents), formats=["PNG"]) as image:
        if image.size != (_SIDE, _SIDE):
            raise ValueError(f"{path} has {image.width} x {image.height} pixels, not {_SIDE} x {_SIDE}")
        if np.median(np.asarray(image.convert("L"))) != 255:
            raise ValueError(f"{path} is not dark ink on white")
    return contents


def _read(archive: zipfile.ZipFile, path: PurePosixPath) -> bytes:
    try:
        entry = archive.getinfo(str(path))
    except KeyError:
        raise ValueError(f"it contains no {path}") from None
    if entry.file_size > _LARGEST_FILE:
        raise ValueError(f"{path} has {entry.file_size} bytes, more than {_LARGEST_FILE}")
    return archive.read(entry)
