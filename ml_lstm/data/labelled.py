"""Data sets of TensorFlow Datasets that have one picture and one label an example, brought into memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ml_lstm.data import cache, prepared
from ml_lstm.data.resizing import area_resize

Classes = dict[str, np.ndarray]
"""Images uint8 [n, S, S, C] by class name."""

_CACHE_FORMAT = 1  # counts up whenever the same source files would give other cached arrays
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
    source: DataSet, data_dir: str | None, image_size: int, cache_dir: str | None, crop: Crop | None = None
) -> dict[str, Classes]:
    """Reads all of a data set, or what an earlier call kept of it.

    Args:
        source: which.
        data_dir: TFDS directory, see `prepared.find`.
        image_size: S, pixels a side; images are averaged over areas.
        cache_dir: where decoded images are kept, see `cache.file`.
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

    def fits(arrays):
        return all(
            arrays[part].shape == (total, image_size, image_size, source.channels)
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
    return {name: np.concatenate([classes[name] for classes in parts.values()]) for name in names}


def _counts(part):
    """The name of the array that says how many images each class has."""
    return f"{part}_counts"


def _decode(source, directory: Path, image_size, crop) -> cache.Arrays:
    """All images of each part, class after class, and how many each class has."""
    import tensorflow_datasets as tfds  # takes seconds, and a cached load needs none

    # One shard after another: the order of images then does not depend on how many shards TFDS wrote.
    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    arrays = {}
    try:
        builder = tfds.builder_from_directory(directory)
        names = builder.info.features["label"].names
        expected = set().union(*source.classes.values())
        if set(names or ()) != expected:
            raise ValueError(f"label.labels.txt does not hold the names of the {len(expected)} classes")
        for part, total in source.totals.items():
            images = {name: [] for name in source.classes[part]}
            examples = builder.as_dataset(part, batch_size=None if crop else _BATCH, read_config=read_config)
            for example in examples.as_numpy_iterator():
                taken = crop.function(example)[np.newaxis] if crop else example["image"]
                for label, image in zip(np.atleast_1d(example["label"]), area_resize(taken, image_size), strict=True):
                    images[names[label]].append(image)
            counts = [len(found) for found in images.values()]
            if sum(counts) != total or 0 in counts:
                raise ValueError(f"{part} has {sum(counts)} images of {np.count_nonzero(counts)} classes, not {total}")
            arrays[part] = np.stack([image for found in images.values() for image in found])
            arrays[_counts(part)] = np.array(counts)
    # TFDS reports a broken directory by nearly any type, see `omniglot`.
    except Exception as error:
        raise prepared.broken(directory, source.title, prepared.one_line(error)) from error
    return arrays
