"""Omniglot (Lake et al. 2015) through TensorFlow Datasets, in the two class splits that papers report."""

import hashlib
import importlib.resources
import json
import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool

PROTOCOLS = ("vinyals", "lake")

# The five smallest background alphabets, the validation set of Meta-Dataset (Triantafillou et al. 2020):
# 883 classes train, 81 validate.
LAKE_VALIDATION_ALPHABETS = (
    "Alphabet_of_the_Magi",
    "Blackfoot_(Canadian_Aboriginal_Syllabics)",
    "Inuktitut_(Canadian_Aboriginal_Syllabics)",
    "Ojibwe_(Canadian_Aboriginal_Syllabics)",
    "Tagalog",
)

_NUM_CLASSES = 1623
_DRAWERS = 20  # every character was drawn once by each of twenty people
_SOURCE_SIZE = 105  # pixels a side
_CACHE_FORMAT = 1  # counts up whenever the same source files would give other cached arrays


class _Characters(NamedTuple):
    """All of Omniglot: names str [1623], in_background bool [1623], images uint8 [1623, 20, S, S, 1]."""

    names: np.ndarray
    in_background: np.ndarray
    images: np.ndarray


def load(
    data_dir: str | None, image_size: int = 28, protocol: str = "vinyals", cache_dir: str | None = None
) -> dict[str, ClassPool]:
    """Loads Omniglot's 1623 characters, 20 drawings each, dark ink (0) on white (255).

    The first call decodes and shrinks the drawings (seconds) and keeps the result in `cache_dir`; later ones
    read that, as long as the data files stay what they were. A class is called `Alphabet/characterNN`, as in
    the original archive. Training classes count four times, by quarter turns (`ClassPool.rotations`).

    Args:
        data_dir: TensorFlow Datasets directory that holds `omniglot/<version>/`. None: TFDS's own default,
            `$TFDS_DATA_DIR` or `~/tensorflow_datasets`, and a download to there where it has no Omniglot.
        image_size: S, pixels a side; the 105 x 105 originals are averaged over areas.
        protocol: `"vinyals"`, 1028 / 172 / 423 characters drawn from all alphabets (Vinyals et al. 2016, the
            validation part as in Snell et al. 2017); or `"lake"`, whole alphabets, 883 / 81 characters of the
            30 background alphabets and the 659 of the 20 evaluation alphabets (Lake et al. 2015).
        cache_dir: where decoded images are kept; None: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, images uint8 [N, S, S, 1].

    Raises:
        DataError: for another protocol, or if the data are missing, incomplete or cannot be downloaded.
        ValueError: if `image_size` is not positive.
    """
    if protocol not in PROTOCOLS:
        raise DataError(f"Unknown Omniglot protocol {protocol!r}; choose one of: {', '.join(PROTOCOLS)}.")
    if image_size < 1:
        raise ValueError(f"image_size must be positive, not {image_size}.")
    directory = _prepared_directory(data_dir)
    cache_file = _cache_file(directory, image_size, cache_dir)
    characters = _read_cache(cache_file, image_size)
    if characters is None:
        characters = _decode(directory, image_size)
        _write_cache(cache_file, characters)
    split = vinyals_split() if protocol == "vinyals" else _lake_split(characters)
    return {part: _pool(characters, names, rotations=4 if part == "train" else 1) for part, names in split.items()}


def vinyals_split() -> dict[str, list[str]]:
    """The published split, `{"train": 1028 names, "val": 172 names, "test": 423 names}`."""
    text = importlib.resources.files("ml_lstm.data").joinpath("splits/omniglot_vinyals.json").read_text("utf-8")
    return json.loads(text)


def _lake_split(characters: _Characters) -> dict[str, list[str]]:
    split = {"train": [], "val": [], "test": []}
    for name, in_background in zip(characters.names.tolist(), characters.in_background.tolist(), strict=True):
        if not in_background:
            split["test"].append(name)
        elif name.partition("/")[0] in LAKE_VALIDATION_ALPHABETS:
            split["val"].append(name)
        else:
            split["train"].append(name)
    return split


def _pool(characters: _Characters, names: list[str], rotations: int) -> ClassPool:
    row_of = {name: row for row, name in enumerate(characters.names.tolist())}
    rows = [row_of[name] for name in names]
    counts = np.full(len(rows), _DRAWERS, np.int32)
    images = characters.images[rows].reshape(-1, *characters.images.shape[2:])
    return ClassPool(images, np.cumsum(counts, dtype=np.int32) - counts, counts, tuple(names), rotations)


def _prepared_directory(data_dir: str | None) -> Path:
    """The newest `omniglot/<version>/` that TFDS finished writing, downloaded if the user named no place."""
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    prepared = [info.parent for info in root.glob("omniglot/*/dataset_info.json")]
    versions = [path for path in prepared if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    if versions:
        return max(versions, key=lambda path: [int(number) for number in path.name.split(".")])
    if data_dir is not None:
        raise DataError(
            f"No prepared Omniglot in {str(root)!r} (no omniglot/<version>/dataset_info.json there); correct "
            f"--data_dir, or write it there by `tfds build omniglot --data_dir={root}`."
        )
    # Imported only here and in _decode: a cached load needs no TFDS, whose import takes seconds.
    import tensorflow_datasets as tfds

    # Ten retries with growing pauses, which TFDS does not let us shorten: say so before the silence.
    logging.warning("Downloading Omniglot to %s; without a network that takes minutes to fail.", root)
    try:
        builder = tfds.builder("omniglot", data_dir=root)
        builder.download_and_prepare()
    except Exception as error:  # TFDS passes on whatever requests, urllib3, zipfile and the file system raise.
        raise DataError(
            f"Omniglot is not in {str(root)!r} and could not be downloaded ({_one_line(error)}); connect to "
            "the network, or name a directory that holds omniglot/<version>/ by --data_dir."
        ) from error
    return Path(builder.data_dir)


def _decode(directory: Path, image_size: int) -> _Characters:
    import tensorflow_datasets as tfds

    drawings: dict[str, list[np.ndarray]] = {}
    background = set()
    published = sorted(name for part in vinyals_split().values() for name in part)
    # One shard after another: the order of drawings then does not depend on how many shards TFDS wrote.
    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    try:
        builder = tfds.builder_from_directory(directory)
        alphabets = builder.info.features["alphabet"].names
        if set(alphabets or ()) != {name.partition("/")[0] for name in published}:
            raise ValueError("alphabet.labels.txt does not hold the names of the 50 alphabets")
        for part in ("train", "test"):
            for batch in builder.as_dataset(part, batch_size=512, read_config=read_config).as_numpy_iterator():
                shrunk = _area_resize(batch["image"][..., 0], image_size)
                for alphabet, index, image in zip(batch["alphabet"], batch["alphabet_char_id"], shrunk, strict=True):
                    name = f"{alphabets[alphabet]}/character{index + 1:02d}"
                    drawings.setdefault(name, []).append(image)
                    if part == "train":
                        background.add(name)
    # TFDS reports a broken directory by nearly any type: KeyError (no such split), json_format.ParseError,
    # NotFoundError (no shard), DataLossError (cut or altered), FailedPreconditionError (too few examples).
    except Exception as error:
        raise _broken(directory, _one_line(error)) from error
    names = sorted(drawings)
    if names != published or any(len(drawings[name]) != _DRAWERS for name in names):
        found = f"{sum(map(len, drawings.values()))} drawings of {len(names)} characters"
        raise _broken(directory, f"{found}, not {_DRAWERS} of each of the {_NUM_CLASSES} published")
    return _Characters(
        np.array(names),
        np.array([name in background for name in names]),
        np.stack([np.stack(drawings[name]) for name in names])[..., np.newaxis],
    )


def _area_resize(images: np.ndarray, size: int) -> np.ndarray:
    """Averages uint8 [N, 105, 105] over the area of each new pixel: uint8 [N, size, size].

    The weights are whole numbers, the overlap of an old and a new pixel on a grid of 105 * size steps, so the
    sums (at most 255 * 105^2 < 2^24) are exact in float32 and the result is the same on every machine.
    """
    new, old = np.arange(size)[:, np.newaxis] * _SOURCE_SIZE, np.arange(_SOURCE_SIZE) * size
    overlap = np.minimum(new + _SOURCE_SIZE, old + size) - np.maximum(new, old)
    weights = np.maximum(overlap, 0).astype(np.float32)
    sums = weights @ images.astype(np.float32) @ weights.T
    return np.rint(sums / _SOURCE_SIZE**2).astype(np.uint8)


def _broken(directory: Path, reason: str) -> DataError:
    return DataError(
        f"Omniglot in {str(directory)!r} is damaged or incomplete ({reason}); delete that directory and write it "
        f"again by `tfds build omniglot --data_dir={directory.parents[1]}`, or name another by --data_dir."
    )


def _one_line(error: Exception) -> str:
    """The first line of an error, without TensorFlow's notes on graph nodes, at most 200 characters."""
    lines = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error)).strip().splitlines()
    return (lines[0].strip() if lines else type(error).__name__)[:200]


def _cache_file(directory: Path, image_size: int, cache_dir: str | None) -> Path:
    """A file name that changes with all that the decoded images depend on."""
    if cache_dir is None:
        cache_dir = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "ml_lstm")
    sources = [(path.name, path.stat()) for path in sorted(directory.iterdir())]
    identity = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in sources]
    digest = hashlib.sha256(json.dumps([_CACHE_FORMAT, identity]).encode()).hexdigest()[:16]
    return Path(cache_dir).expanduser() / f"omniglot-{directory.name}-{image_size}px-{digest}.npz"


def _read_cache(path: Path, image_size: int) -> _Characters | None:
    """The cached characters; None if there are none or the file is damaged (its CRCs tell)."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            characters = _Characters(*(arrays[field] for field in _Characters._fields))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logging.warning("Decoding Omniglot anew: cache %s cannot be read (%s).", path, _one_line(error))
        return None
    if characters.images.shape != (_NUM_CLASSES, _DRAWERS, image_size, image_size, 1):
        logging.warning("Decoding Omniglot anew: cache %s holds other images.", path)
        return None
    return characters


def _write_cache(path: Path, characters: _Characters) -> None:
    """Writes beside `path` and renames, so that no reader ever sees half a file."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = file.name
            np.savez(file, **characters._asdict())
        os.replace(temporary, path)
    except OSError as error:
        logging.warning("Omniglot is not cached, the next start decodes it again: %s.", _one_line(error))
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
