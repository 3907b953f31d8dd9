"""Omniglot (Lake et al. 2015) through TensorFlow Datasets, in the two class splits that papers report."""

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
# 883 classes train, 81 validate.
LAKE_VALIDATION_ALPHABETS = (
    "Alphabet_of_the_Magi",
    "Blackfoot_(Canadian_Aboriginal_Syllabics)",
    "Inuktitut_(Canadian_Aboriginal_Syllabics)",
    "Ojibwe_(Canadian_Aboriginal_Syllabics)",
    "Tagalog",
)

_TITLE = "Omniglot"
_NUM_CLASSES = 1623
_DRAWERS = 20  # every character was drawn once by each of twenty people
_CACHE_FORMAT = 2  # counts up whenever the same source files would give other cached arrays


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
) -> dict[str, ClassPool]:
    """Loads Omniglot's 1623 characters, 20 drawings each, dark ink (0) on white (255).

    The first call decodes and shrinks the drawings (seconds) and keeps the result in `cache_dir`; later ones
    read that, as long as the data files stay what they were. A class is called `Alphabet/characterNN`, as in
    the original archive. Training classes count four times, by quarter turns (`ClassPool.views`).

    Args:
        image_size: S, pixels a side; the 105 x 105 originals are averaged over areas.
        data_dir: TensorFlow Datasets directory; unset: TFDS's own default, `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`, with download.
        cache_dir: where decoded images are kept; unset: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        omniglot_protocol: `"vinyals"`, 1028 / 172 / 423 characters drawn from all alphabets (Vinyals et al. 2016, the
            validation part as in Snell et al. 2017); or `"lake"`, whole alphabets, 883 / 81 characters of the
            30 background alphabets and the 659 of the 20 evaluation alphabets (Lake et al. 2015).

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
    shape = (_NUM_CLASSES, _DRAWERS, image_size, image_size, 1)
    arrays = cache.load(cached, _Characters._fields, _TITLE, lambda arrays: arrays["images"].shape == shape)
    characters = _Characters(**arrays) if arrays else _decode(directory, image_size)
    if not arrays:
        cache.save(cached, characters._asdict(), _TITLE)
    split = splits.published("omniglot_vinyals") if omniglot_protocol == "vinyals" else _lake_split(characters)
    views = {"train": quarter_turns(image_size)}
    return {part: _pool(characters, names, views.get(part)) for part, names in split.items()}


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


def _pool(characters: _Characters, names: list[str], views: np.ndarray | None) -> ClassPool:
    row_of = {name: row for row, name in enumerate(characters.names.tolist())}
    rows = [row_of[name] for name in names]
    counts = np.full(len(rows), _DRAWERS, np.int32)
    images = characters.images[rows].reshape(-1, *characters.images.shape[2:])
    return ClassPool(images, np.cumsum(counts, dtype=np.int32) - counts, counts, tuple(names), views)


def _decode(directory: Path, image_size: int) -> _Characters:
    tfds = tensorflow_datasets()

    drawings: dict[str, list[np.ndarray]] = {}
    background = set()
    published = sorted(name for part in splits.published("omniglot_vinyals").values() for name in part)
    # One shard after another: the order of drawings then does not depend on how many shards TFDS wrote.
    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    try:
        builder = tfds.builder_from_directory(directory)
        alphabets = builder.info.features["alphabet"].names
        if set(alphabets or ()) != {name.partition("/")[0] for name in published}:
            raise ValueError("alphabet.labels.txt does not hold the names of the 50 alphabets")
        for part in ("train", "test"):
            for batch in builder.as_dataset(part, batch_size=512, read_config=read_config).as_numpy_iterator():
                shrunk = resize(batch["image"][..., :1], image_size, image_size).numpy()
                for alphabet, index, image in zip(batch["alphabet"], batch["alphabet_char_id"], shrunk, strict=True):
                    name = f"{alphabets[alphabet]}/character{index + 1:02d}"
                    drawings.setdefault(name, []).append(image)
                    if part == "train":
                        background.add(name)
    # TFDS reports a broken directory by nearly any type: KeyError (no such split), json_format.ParseError,
    # NotFoundError (no shard), DataLossError (cut or altered), FailedPreconditionError (too few examples).
    except Exception as error:
        raise prepared.broken(directory, _TITLE, prepared.one_line(error)) from error
    names = sorted(drawings)
    if names != published or any(len(drawings[name]) != _DRAWERS for name in names):
        found = f"{sum(map(len, drawings.values()))} drawings of {len(names)} characters"
        raise prepared.broken(directory, _TITLE, f"{found}, not {_DRAWERS} of each of the {_NUM_CLASSES} published")
    return _Characters(
        np.array(names),
        np.array([name in background for name in names]),
        np.stack([np.stack(drawings[name]) for name in names]),
    )


SOURCE = Source(load, 1, "Omniglot, 1028/172/423 characters, 20 drawings each (Vinyals et al. 2016)")
