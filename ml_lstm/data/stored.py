"""Images that do not fit in memory: on disk, in TFDS's random-access format, read as episodes need them."""

import collections
import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from ml_lstm.data.errors import DataError
from ml_lstm.data.prepared import one_line
from ml_lstm.data.tfds import tensorflow_datasets

CACHE_BYTES = 2**28
"""Size of the in-memory cache of images that were read."""

_IMAGES_A_FILE = 10_000
_AT_ONCE = 256


class ImageStore:
    """All images of a directory that `stored` wrote, by number, part by part; caches the most recently read ones.

    Args:
        directory: the directory of the store.
        parts: the parts, in the order in which their images are numbered.
        cache_bytes: memory limit of the cache.
    """

    def __init__(self, directory: Path, parts: Sequence[str], cache_bytes: int):
        builder = tensorflow_datasets().builder_from_directory(directory)
        self._sources = [builder.as_data_source(part) for part in parts]
        self._starts = np.cumsum([0, *map(len, self._sources)])
        self.image_shape = tuple(builder.info.features["image"].shape)
        self._capacity = max(1, cache_bytes // int(np.prod(self.image_shape)))
        self._cached: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self):
        return int(self._starts[-1])

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Reads the images with numbers `numbers` [n]: uint8 [n, H, W, C]."""
        numbers = [int(number) for number in numbers]
        with self._lock:
            found = {number: self._cached[number] for number in numbers if number in self._cached}
            for number in found:
                self._cached.move_to_end(number)
        missing = sorted({*numbers} - found.keys())
        for source, start, end in zip(self._sources, self._starts[:-1], self._starts[1:], strict=True):
            there = [number for number in missing if start <= number < end]
            if there:
                examples = source.__getitems__([int(number - start) for number in there])
                found |= {number: example["image"] for number, example in zip(there, examples, strict=True)}
        with self._lock:
            self._cached |= {number: found[number] for number in missing}
            while len(self._cached) > self._capacity:
                self._cached.popitem(last=False)
        if not numbers:
            return np.zeros((0, *self.image_shape), np.uint8)
        return np.stack([found[number] for number in numbers])


class StoredImages:
    """Some images of a store, as a read-only array [N, H, W, C].

    Args:
        store: the store.
        numbers: int [N], numbers of the images.
        convert: function applied to images [n, H, W, C'] after reading; None for no conversion.
        channels: C, the number of channels after `convert`; None for the number in the store.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        store: ImageStore,
        numbers: np.ndarray,
        convert: Callable[[np.ndarray], np.ndarray] | None = None,
        channels: int | None = None,
    ):
        self._store, self._numbers, self._convert = store, np.asarray(numbers), convert
        self.shape = (len(self._numbers), *store.image_shape[:2], channels or store.image_shape[2])

    def __len__(self):
        return len(self._numbers)

    @property
    def nbytes(self) -> int:
        """The memory that the images would take."""
        return int(np.prod(self.shape))

    def __getitem__(self, index):
        numbers = self._numbers[index]
        images = self._store.read(np.ravel(numbers))
        if self._convert:
            images = self._convert(images)
        return images.reshape(*np.shape(numbers), *self.shape[1:])

    def chosen(self, which: np.ndarray) -> "StoredImages":
        """The images at indices `which`, int [n], without reading them."""
        return StoredImages(self._store, self._numbers[which], self._convert, self.shape[-1])

    def converted(self, convert: Callable[[np.ndarray], np.ndarray], channels: int) -> "StoredImages":
        """The same images, converted when they are read; see the arguments of the class."""
        return StoredImages(self._store, self._numbers, convert, channels)


def concatenate(images: Sequence[np.ndarray | StoredImages]) -> np.ndarray | StoredImages:
    """`np.concatenate`, also for images of one store that all have the same conversion."""
    first = images[0]
    if isinstance(first, StoredImages):
        numbers = np.concatenate([each._numbers for each in images])
        return StoredImages(first._store, numbers, first._convert, first.shape[-1])
    return np.concatenate(images)


class Stored(NamedTuple):
    """The contents of a directory of images.

    Attributes:
        store: the images of all parts.
        labels: int [n] for each part, as they were given.
        notes: the notes saved with the images.
    """

    store: ImageStore
    labels: dict[str, np.ndarray]
    notes: list[str]

    def images(self, part: str, label: int) -> StoredImages:
        """The images of a part that have a label, in the order in which they were given."""
        start = 0
        for name, labels in self.labels.items():
            if name == part:
                return StoredImages(self.store, start + np.flatnonzero(labels == label))
            start += len(labels)
        raise KeyError(part)


def stored(
    directory: Path,
    examples: Mapping[str, Iterable[tuple[int, np.ndarray]]],
    shape: tuple[int, int, int],
    notes: list[str] | None = None,
) -> Stored:
    """Opens a directory of images; writes it first if it is new, incomplete or damaged.

    Args:
        directory: its name must change with everything that the images depend on.
        examples: labels and images, uint8 [H, W, C], by part; read at most once.
        shape: `(H, W, C)`.
        notes: saved after all images are written; notes may be added until then.

    Raises:
        DataError: if the directory cannot be written, or TFDS is not installed.
    """
    tensorflow_datasets()  # first, so that a missing TFDS is not taken for a damaged directory
    index = directory / "index.json"  # written last
    try:
        if index.exists():
            return _opened(directory, index)
    # TFDS and array_record report a damaged directory with almost any exception type.
    except Exception as error:
        logging.warning("Writing images again: %s cannot be read (%s).", directory, one_line(error))
    shutil.rmtree(directory, ignore_errors=True)
    logging.warning("Images exceed --max_pool_memory: they are written once to %s and read from there.", directory)
    try:
        labels = _write(directory, examples, shape)
        temporary = index.with_suffix(".tmp")
        temporary.write_text(json.dumps({"labels": labels, "notes": notes or [], "sizes": _sizes(directory)}))
        temporary.replace(index)
    except OSError as error:
        raise DataError(
            f"Images cannot be written to {directory} ({one_line(error)}): choose another --cache_dir, or "
            "raise --max_pool_memory."
        ) from error
    return _opened(directory, index)


def _opened(directory, index):
    known = json.loads(index.read_text())
    labels = {part: np.array(numbers, np.int32) for part, numbers in known["labels"].items()}
    if _sizes(directory) != known["sizes"]:
        raise ValueError("files are missing or cut short")
    return Stored(ImageStore(directory, tuple(labels), CACHE_BYTES), labels, known["notes"])


def _sizes(directory):
    """Sizes of the image files, in bytes: a truncated shard would otherwise be noticed only when it is read."""
    return {path.name: path.stat().st_size for path in sorted(directory.glob("*array_record*"))}


def _write(directory, examples, shape):
    """Writes images one chunk at a time; the builders of TFDS would keep all images of a part in memory."""
    tfds = tensorflow_datasets()

    identity = tfds.core.DatasetIdentity(
        name="stored", version=tfds.core.Version("1.0.0"), data_dir=str(directory), module_name=""
    )
    # "bytes", because writing each number as a varint would take twenty times as long.
    image = tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
    info = tfds.core.DatasetInfo(builder=identity, features=tfds.features.FeaturesDict({"image": image}))
    directory.mkdir(parents=True)
    writer = tfds.core.SequentialWriter(info, _IMAGES_A_FILE, file_format="array_record")
    writer.initialize_splits([*examples])
    labels = {part: [] for part in examples}
    for part, of_part in examples.items():
        of_part = iter(of_part)
        while some := list(itertools.islice(of_part, _AT_ONCE)):  # each call writes the metadata too
            labels[part] += [int(label) for label, _ in some]
            writer.add_examples({part: [{"image": image} for _, image in some]})
    writer.close_all()
    return labels
