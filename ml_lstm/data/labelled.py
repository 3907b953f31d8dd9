"""TensorFlow Datasets (TFDS) data sets whose examples have one image and one label."""

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

_CACHE_FORMAT = 2  # incremented whenever the same source files would give different cached arrays
_BATCH = 512


class DataSet(NamedTuple):
    """A data set and its expected contents.

    Attributes:
        builder: its name in TFDS.
        title: its name in messages.
        classes: class names of each part (`"train"`, `"test"`).
        totals: number of images in each part.
        channels: channels of an image.
    """

    builder: str
    title: str
    classes: Mapping[str, Sequence[str]]
    totals: Mapping[str, int]
    channels: int


class Crop(NamedTuple):
    """The part of an example that is used as the image.

    Attributes:
        name: identifies the crop in the cache file's name.
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
    """Reads a whole data set, or its cache from an earlier call.

    Args:
        source: the data set.
        data_dir: TFDS directory, see `prepared.find`.
        image_size: S, height and width in pixels; images are resized by averaging areas.
        cache_dir: directory for decoded images, see `cache.file`.
        max_bytes: memory limit for the images. A larger data set is read from `cache_dir` on demand, see
            `ml_lstm.data.stored`.
        crop: None for data sets whose images all have one size and are used whole.

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
    """The classes with these names, each with its images of all parts."""
    return {name: stored.concatenate([classes[name] for classes in parts.values()]) for name in names}


def _counts(part):
    """The name of the array with each class's number of images."""
    return f"{part}_counts"


def _decode(source, directory: Path, image_size, crop) -> cache.Arrays:
    """All images of each part, class by class, and the number of images of each class."""
    arrays = {}
    for part in source.totals:
        images = [[] for _ in source.classes[part]]
        for label, image in _examples(source, directory, part, image_size, crop):
            images[label].append(image)
        arrays[part] = np.stack([image for found in images for image in found])
        arrays[_counts(part)] = np.array([len(found) for found in images])
    return arrays


def _examples(source, directory: Path, part, image_size, crop) -> Iterator[tuple[int, np.ndarray]]:
    """Yields class index and image of each example of a part; raises an error if the contents are not as expected."""
    tfds = tensorflow_datasets()  # a cached load does not need it

    # Reads one shard at a time, so the order of images does not depend on the number of shards.
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
    # TFDS reports a broken directory with almost any exception type, see `omniglot`.
    except Exception as error:
        raise prepared.broken(directory, source.title, prepared.one_line(error)) from error
