"""Data sets of TensorFlow Datasets that have one picture and one label an example."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ml_lstm.data import cache, prepared, stored
from ml_lstm.data.resizing import resize
from ml_lstm.data.tfds import tensorflow_datasets

Classes = dict[str, np.ndarray | stored.StoredImages]
"""Images uint8 [n, S, S, C] by class name."""

_CACHE_FORMAT = 2  # counts up whenever the same source files would give other cached arrays
_BATCH = 512


class DataSet(NamedTuple):
    """A data set, and what it must hold.

    Attributes:
        builder: its name in TFDS.
        title: its name in messages.
        classes: the names of those in each part (`"train"`, `"test"`).
        totals: images in each part.
        channels: of an image.
    """

    builder: str
    title: str
    classes: Mapping[str, Sequence[str]]
    totals: Mapping[str, int]
    channels: int


class Crop(NamedTuple):
    """What of an example is its image.

    Attributes:
        name: what tells its result from that of others, for the cache.
        function: from an example of TFDS, in NumPy, to uint8 [H, W, C].
    """

    name: str
    function: Callable[[dict[str, Any]], np.ndarray]


def load(
    source: DataSet,
    data_dir: str | None,
    image_size: int,
    cache_dir: str | None,
    max_bytes: int,
    crop: Crop | None = None,
) -> dict[str, Classes]:
    """Reads all of a data set, or what an earlier call kept of it.

    Args:
        source: which.
        data_dir: TFDS directory, see `prepared.find`.
        image_size: S, pixels a side; images are averaged over areas.
        cache_dir: where decoded images are kept, see `cache.file`.
        max_bytes: what they may take in memory; where they would take more they are read from `cache_dir` as they are
            needed, see `ml_lstm.data.stored`.
        crop: None for data sets whose images all have one size, and are taken whole.

    Returns:
        Classes by part, in the order of `source.classes`.

    Raises:
        DataError: if the data are missing, incomplete or cannot be downloaded.
        ValueError: if `image_size` is not positive.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be positive, not {image_size}.")
    directory = prepared.find(source.builder, source.title, data_dir)
    path = cache.file(directory, image_size, cache_dir, [_CACHE_FORMAT, crop.name if crop else None])
    shape = (image_size, image_size, source.channels)
    if sum(source.totals.values()) * math.prod(shape) > max_bytes:
        examples = {part: _examples(source, directory, part, image_size, crop) for part in source.totals}
        kept = stored.stored(path.with_suffix(""), examples, shape)
        return {
            part: {name: kept.images(part, label) for label, name in enumerate(source.classes[part])}
            for part in source.totals
        }

    def fits(arrays):
        return all(
            arrays[part].shape == (total, *shape)
            and arrays[_counts(part)].shape == (len(source.classes[part]),)
            and arrays[_counts(part)].sum() == total
            for part, total in source.totals.items()
        )

    names = (*source.totals, *map(_counts, source.totals))
    arrays = cache.load(path, names, source.title, fits)
    if arrays is None:
        arrays = _decode(source, directory, image_size, crop)
        cache.save(path, arrays, source.title)
    by_class = {part: np.split(arrays[part], np.cumsum(arrays[_counts(part)])[:-1]) for part in source.totals}
    return {part: dict(zip(source.classes[part], images, strict=True)) for part, images in by_class.items()}


def joined(parts: dict[str, Classes], names: Iterable[str]) -> Classes:
    """The classes of these names, with their images of all parts."""
    return {name: stored.concatenate([classes[name] for classes in parts.values()]) for name in names}


def _counts(part):
    """The name of the array that says how many images each class has."""
    return f"{part}_counts"


def _decode(source, directory: Path, image_size, crop) -> cache.Arrays:
    """All images of each part, class after class, and how many each class has."""
    arrays = {}
    for part in source.totals:
        images = [[] for _ in source.classes[part]]
        for label, image in _examples(source, directory, part, image_size, crop):
            images[label].append(image)
        arrays[part] = np.stack([image for found in images for image in found])
        arrays[_counts(part)] = np.array([len(found) for found in images])
    return arrays


def _examples(source, directory: Path, part, image_size, crop) -> Iterator[tuple[int, np.ndarray]]:
    """Which of the part's classes, and the image, of each example; an error if there is not what must be there."""
    tfds = tensorflow_datasets()  # a cached load needs none

    # One shard after another: the order of images then does not depend on how many shards TFDS wrote.
    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    with _reported(source, directory):
        builder = tfds.builder_from_directory(directory)
        names = builder.info.features["label"].names
        expected = set().union(*source.classes.values())
        if set(names or ()) != expected:
            raise ValueError(f"label.labels.txt does not hold the names of the {len(expected)} classes")
        classes = {name: number for number, name in enumerate(source.classes[part])}
        counts = np.zeros(len(classes), int)
        examples = builder.as_dataset(part, batch_size=None if crop else _BATCH, read_config=read_config)
        for example in examples.as_numpy_iterator():
            taken = crop.function(example)[np.newaxis] if crop else example["image"]
            for label, image in zip(
                np.atleast_1d(example["label"]), resize(taken, image_size, image_size).numpy(), strict=True
            ):
                number = classes[names[label]]
                counts[number] += 1
                yield number, image
        if counts.sum() != source.totals[part] or not counts.all():
            raise ValueError(
                f"{part} has {counts.sum()} images of {np.count_nonzero(counts)} classes, not {source.totals[part]}"
            )


@contextlib.contextmanager
def _reported(source, directory):
    try:
        yield
    # TFDS reports a broken directory by nearly any type, see `omniglot`.
    except Exception as error:
        raise prepared.broken(directory, source.title, prepared.one_line(error)) from error
