"""Omniglot (Lake et al. 2015) through TensorFlow Datasets, in the two class splits that papers use."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ml_lstm.data import cache, prepared, splits
from ml_lstm.data.pools import ClassPool, quarter_turns
from ml_lstm.data.resizing import resize
from ml_lstm.data.sources.base import Place, Source
from ml_lstm.data.tfds import tensorflow_datasets
from ml_lstm.options import checked

# The five smallest background alphabets, the validation set of Meta-Dataset (Triantafillou et al. 2020):
# 883 classes for training, 81 for validation.
LAKE_VALIDATION_ALPHABETS = (
    "Alphabet_of_the_Magi",
    "Blackfoot_(Canadian_Aboriginal_Syllabics)",
    "Inuktitut_(Canadian_Aboriginal_Syllabics)",
    "Ojibwe_(Canadian_Aboriginal_Syllabics)",
    "Tagalog",
)

DRAWERS = 20
"""Number of people who drew each character of an alphabet, once each; every alphabet has its own drawers."""

_TITLE = "Omniglot"
_NUM_CLASSES = 1623
_CACHE_FORMAT = 2  # incremented whenever the same source files would give different cached arrays


class _Characters(NamedTuple):
    """All of Omniglot: names str [1623], in_background bool [1623], images uint8 [1623, 20, S, S, 1]."""

    names: np.ndarray
    in_background: np.ndarray
    images: np.ndarray


@checked
def load(
    image_size: int,
    *,
    data_dir: Place = None,
    cache_dir: Place = None,
    omniglot_protocol: Literal["vinyals", "lake"] = "vinyals",
    omniglot_validation: bool = True,
) -> dict[str, ClassPool]:
    """Loads Omniglot's 1623 characters, 20 drawings each, dark ink (0) on white (255).

    The first call decodes and resizes the drawings (seconds) and keeps the result in `cache_dir`; later calls read it,
    as long as the data files do not change. Classes are named `Alphabet/characterNN`, as in the original archive. Each
    training class counts four times, rotated by quarter turns (`ClassPool.views`).

    Args:
        image_size: S, height and width in pixels; the 105 x 105 originals are averaged over areas.
        data_dir: TensorFlow Datasets (TFDS) directory. If unset: TFDS's default, `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`, to which missing data are downloaded.
        cache_dir: directory for decoded images. If unset: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        omniglot_protocol: `"vinyals"`: 1028 / 172 / 423 characters from all alphabets (Vinyals et al. 2016, the
            validation part as in Snell et al. 2017). `"lake"`: whole alphabets, 883 / 81 characters of the
            30 background alphabets and the 659 characters of the 20 evaluation alphabets (Lake et al. 2015).
        omniglot_validation: whether the meta-validation classes are excluded from training. If false, training uses
            them too, 1200 and 423 or 964 and 659 characters, as in papers without a validation set (Munkhdalai & Yu
            2017); meta-validation then uses training classes and does not show overfitting.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, images uint8 [N, S, S, 1].

    Raises:
        DataError: if the data are missing, incomplete or cannot be downloaded.
        ValueError: if `image_size` is not positive, or for another protocol.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be positive, not {image_size}.")
    directory = prepared.find("omniglot", _TITLE, data_dir)
    cached = cache.file(directory, image_size, cache_dir, _CACHE_FORMAT)
    shape = (_NUM_CLASSES, DRAWERS, image_size, image_size, 1)
    arrays = cache.load(cached, _Characters._fields, _TITLE, lambda arrays: arrays["images"].shape == shape)
    characters = _Characters(**arrays) if arrays else _decode(directory, image_size)
    if not arrays:
        cache.save(cached, characters._asdict(), _TITLE)
    split = splits.published("omniglot_vinyals") if omniglot_protocol == "vinyals" else _lake_split(characters)
    if not omniglot_validation:
        split = split | {"train": [*split["train"], *split["val"]]}
    views = {"train": quarter_turns(image_size)}
    return {part: _pool(characters, names, views.get(part)) for part, names in split.items()}


def _lake_split(characters: _Characters) -> dict[str, list[str]]:
    split = {"train": [], "val": [], "test": []}
    for name, in_background in zip(characters.names.tolist(), characters.in_background.tolist(), strict=True):
        if not in_background:
            split["test"].append(name)
        elif alphabet_of(name) in LAKE_VALIDATION_ALPHABETS:
            split["val"].append(name)
        else:
            split["train"].append(name)
    return split


def _pool(characters: _Characters, names: list[str], views: np.ndarray | None) -> ClassPool:
    row_of = {name: row for row, name in enumerate(characters.names.tolist())}
    rows = [row_of[name] for name in names]
    counts = np.full(len(rows), DRAWERS, np.int32)
    images = characters.images[rows].reshape(-1, *characters.images.shape[2:])
    alphabets = tuple(map(alphabet_of, names))
    return ClassPool(images, np.cumsum(counts, dtype=np.int32) - counts, counts, tuple(names), views, alphabets)


def alphabet_of(name: str) -> str:
    """The alphabet of a class."""
    return name.partition("/")[0]


def evaluation_drawings(data_dir: str | None) -> dict[str, list[bytes]]:
    """The PNG files, 105 x 105 pixels, of the 659 characters of the 20 evaluation alphabets.

    Args:
        data_dir: see `load`.

    Returns:
        For each class, one drawing by each of the `DRAWERS`, in their order: within an alphabet, drawings at the same
        index are by the same person.

    Raises:
        DataError: if the data are missing, incomplete, cannot be downloaded, or are not in the order that TFDS writes,
            from which the drawers are derived.
    """
    directory = prepared.find("omniglot", _TITLE, data_dir)
    return _drawings_by_drawer(directory, "test")


def _drawings_by_drawer(directory: Path, part: str) -> dict[str, list[bytes]]:
    import tensorflow_datasets as tfds

    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    as_files = {"image": tfds.decode.SkipDecoding()}
    try:
        builder = tfds.builder_from_directory(directory)
        names = builder.info.features["label"].names
        batches = builder.as_dataset(part, batch_size=512, decoders=as_files, read_config=read_config)
        found = [
            (int(label), image)
            for batch in batches.as_numpy_iterator()
            for label, image in zip(batch["label"], batch["image"], strict=True)
        ]
    except Exception as error:  # almost any type, see `_decode`
        raise prepared.broken(directory, _TITLE, prepared.one_line(error)) from error
    drawers = drawers_of([label for label, _ in found], names, part)
    if drawers is None:
        raise prepared.broken(directory, _TITLE, f"{part} is not in the order from which drawers are derived")
    drawings: dict[str, list[bytes]] = {}
    for _, (label, image) in sorted(zip(drawers, found, strict=True), key=lambda drawing: drawing[0]):
        alphabet, _, number = names[label].rpartition("_")
        drawings.setdefault(f"{alphabet}/character{int(number) + 1:02d}", []).append(image)
    return drawings


def drawers_of(labels: Sequence[int], names: Sequence[str], part: str) -> list[int] | None:
    """Derives the drawers of the examples of a part, which TFDS does not store.

    The archive's file `0709_03.png` is class 709 by the third drawer of its alphabet (`Dataset.m` beside it). TFDS
    writes examples in the order of the MD5 of the part's name and a key made from the file's name. So the order gives
    the keys, and comparing all labels with the expected ones confirms it.

    Args:
        labels: class of each example, in the order in which they were written.
        names: all class names, as in TFDS.
        part: `"train"`, `"test"`, `"small1"` or `"small2"`.

    Returns:
        Drawers, counted from 0; None if the examples are in another order.
    """
    keys = sorted(
        (hashlib.md5(f"{part}{names[label]}_{label + 1:04d}_{drawer + 1:02d}.png".encode()).digest(), label, drawer)
        for label in set(labels)
        for drawer in range(DRAWERS)
    )
    return [drawer for _, _, drawer in keys] if [label for _, label, _ in keys] == list(labels) else None


def _decode(directory: Path, image_size: int) -> _Characters:
    tfds = tensorflow_datasets()

    drawings: dict[str, list[np.ndarray]] = {}
    background = set()
    published = sorted(name for part in splits.published("omniglot_vinyals").values() for name in part)
    # Reads one shard at a time, so the order of drawings does not depend on the number of shards.
    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    try:
        builder = tfds.builder_from_directory(directory)
        alphabets = builder.info.features["alphabet"].names
        if set(alphabets or ()) != set(map(alphabet_of, published)):
            raise ValueError("alphabet.labels.txt does not hold the names of the 50 alphabets")
        for part in ("train", "test"):
            for batch in builder.as_dataset(part, batch_size=512, read_config=read_config).as_numpy_iterator():
                shrunk = resize(batch["image"][..., :1], image_size, image_size).numpy()
                for alphabet, index, image in zip(batch["alphabet"], batch["alphabet_char_id"], shrunk, strict=True):
                    name = f"{alphabets[alphabet]}/character{index + 1:02d}"
                    drawings.setdefault(name, []).append(image)
                    if part == "train":
                        background.add(name)
    # TFDS reports a broken directory with almost any exception type: KeyError (no such split), json_format.ParseError,
    # NotFoundError (no shard), DataLossError (cut or altered), FailedPreconditionError (too few examples).
    except Exception as error:
        raise prepared.broken(directory, _TITLE, prepared.one_line(error)) from error
    names = sorted(drawings)
    if names != published or any(len(drawings[name]) != DRAWERS for name in names):
        found = f"{sum(map(len, drawings.values()))} drawings of {len(names)} characters"
        raise prepared.broken(directory, _TITLE, f"{found}, not {DRAWERS} of each of the {_NUM_CLASSES} published")
    return _Characters(
        np.array(names),
        np.array([name in background for name in names]),
        np.stack([np.stack(drawings[name]) for name in names]),
    )


SOURCE = Source(load, 1, "Omniglot, 1028/172/423 characters, 20 drawings each (Vinyals et al. 2016)")
