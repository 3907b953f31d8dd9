"""Images that are too many for memory: on disk, in TFDS's random-access format, read as episodes need them."""

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
"""Of images that were read and stay in memory."""

_IMAGES_A_FILE = 10_000
_AT_ONCE = 256


class ImageStore:
    """All images of a directory that `stored` wrote, by number, part after part; the latest read stay in memory.

    Args:
        directory: of the store.
        parts: in the order that numbers count them.
        cache_bytes: how much memory those in memory may take.
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
        """Images uint8 [n, H, W, C] number `numbers` [n]."""
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
    """Some images of a store, as if they were an array [N, H, W, C] that can only be read.

    Args:
        store: where they are.
        numbers: int [N], which.
        convert: what is done to images [n, H, W, C'] that were read; None for nothing.
        channels: C, that it leaves; None for those of the store.
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
        """What they would take in memory."""
        return int(np.prod(self.shape))

    def __getitem__(self, index):
        numbers = self._numbers[index]
        images = self._store.read(np.ravel(numbers))
        if self._convert:
            images = self._convert(images)
        return images.reshape(*np.shape(numbers), *self.shape[1:])

    def chosen(self, which: np.ndarray) -> "StoredImages":
        """Some of these images, still unread: those at the places `which`, int [n]."""
        return StoredImages(self._store, self._numbers[which], self._convert, self.shape[-1])

    def converted(self, convert: Callable[[np.ndarray], np.ndarray], channels: int) -> "StoredImages":
        """The same images with something done to them as they are read; see the arguments of the class."""
        return StoredImages(self._store, self._numbers, convert, channels)


def concatenate(images: Sequence[np.ndarray | StoredImages]) -> np.ndarray | StoredImages:
    """`np.concatenate`, also of images of one store, all converted alike."""
    first = images[0]
    if isinstance(first, StoredImages):
        numbers = np.concatenate([each._numbers for each in images])
        return StoredImages(first._store, numbers, first._convert, first.shape[-1])
    return np.concatenate(images)


class Stored(NamedTuple):
    """What a directory of images holds.

    Attributes:
        store: the images of all parts.
        labels: int [n] of each part, as they were given.
        notes: what was to be remembered with them.
    """

    store: ImageStore
    labels: dict[str, np.ndarray]
    notes: list[str]

    def images(self, part: str, label: int) -> StoredImages:
        """Those of a part that have a label, in the order that they were given."""
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
    """What a directory holds, written to it first if need be: if it is new, half written or damaged.

    Args:
        directory: its name says all that the images depend on.
        examples: label and image, uint8 [H, W, C], by part; read once, if at all.
        shape: `(H, W, C)`.
        notes: kept with the images when all are written; they may grow meanwhile.

    Raises:
        DataError: if it cannot be written, or TFDS is not installed.
    """
    tensorflow_datasets()  # before a directory that it would read is held for damaged
    index = directory / "index.json"  # written last
    try:
        if index.exists():
            return _opened(directory, index)
    # TFDS and array_record report a damaged directory by nearly any type.
    except Exception as error:
        logging.warning("Writing images anew: %s cannot be read (%s).", directory, one_line(error))
    shutil.rmtree(directory, ignore_errors=True)
    logging.warning("More than --max_pool_memory: images are written to %s, once, and read from there.", directory)
    try:
        labels = _write(directory, examples, shape)
        temporary = index.with_suffix(".tmp")
        temporary.write_text(json.dumps({"labels": labels, "notes": notes or [], "sizes": _sizes(directory)}))
        temporary.replace(index)
    except OSError as error:
        raise DataError(
            f"Images cannot be written to {directory} ({one_line(error)}): name a place for them by --cache_dir, or "
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
    """Of the files that hold images, in bytes; a shard that was cut short is otherwise noticed only when it is read."""
    return {path.name: path.stat().st_size for path in sorted(directory.glob("*array_record*"))}


def _write(directory, examples, shape):
    """Writes images as they come; the builders of TFDS would hold all those of a part in memory."""
    tfds = tensorflow_datasets()

    identity = tfds.core.DatasetIdentity(
        name="stored", version=tfds.core.Version("1.0.0"), data_dir=str(directory), module_name=""
    )
    # "bytes": each number as a varint would take twenty times as long to write.
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
