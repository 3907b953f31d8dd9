"""The in-memory form of a set of classes: all images in one array, class by class."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ml_lstm.data.errors import DataError
from ml_lstm.data.stored import StoredImages, concatenate


class ClassPool(NamedTuple):
    """The classes of one split and all their images.

    Class `k` owns `images[offsets[k] : offsets[k] + counts[k]]`. With `views`, every class counts several times, each
    time with its pixels in another order: rotated by quarter turns (Vinyals et al. 2016 do so with Omniglot), or
    shuffled. These images are computed when an episode is sampled and take no memory.

    Attributes:
        images: uint8 [N, H, W, C], an array or `stored.StoredImages`.
        offsets: int32 [K], where each class starts in `images`.
        counts: int32 [K], the number of images of each class.
        names: K class names.
        views: int32 [V, H * W]; pixel `p` of view `v` is pixel `views[v, p]` of the image. None for unchanged images.
        alphabets: the alphabet of each of the K classes; None if the data set has no alphabets.
    """

    images: np.ndarray | StoredImages
    offsets: np.ndarray
    counts: np.ndarray
    names: tuple[str, ...]
    views: np.ndarray | None = None
    alphabets: tuple[str, ...] | None = None

    @classmethod
    def from_classes(
        cls, classes: dict[str, np.ndarray | StoredImages], views: np.ndarray | None = None
    ) -> "ClassPool":
        """Joins `{class name: uint8 [n, H, W, C]}`, in the order of the dictionary."""
        counts = np.array([len(images) for images in classes.values()], np.int32)
        offsets = np.cumsum(counts, dtype=np.int32) - counts
        return cls(concatenate(list(classes.values())), offsets, counts, tuple(classes), views)

    def __repr__(self):
        shape = "x".join(map(str, self.image_shape))
        return f"ClassPool({self.num_classes} classes, {len(self.images)} images of {shape})"

    @property
    def num_views(self) -> int:
        """Number of views of each class."""
        return 1 if self.views is None else len(self.views)

    @property
    def num_classes(self) -> int:
        """Number of classes that an episode can choose from; every view counts."""
        return len(self.counts) * self.num_views

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of every image."""
        return tuple(self.images.shape[1:])

    def some(self, most: int, seed: int) -> "ClassPool":
        """A pool with a random subset of the classes, in their order.

        Args:
            most: maximum number of classes; views are not counted.
            seed: determines the subset. With one seed, a smaller `most` gives a subset of what a larger one gives.
        """
        if most >= len(self.counts):
            return self
        drawn = np.sort(np.random.default_rng(seed).permutation(len(self.counts))[:most])
        counts = self.counts[drawn]
        which = np.concatenate([np.arange(self.offsets[k], self.offsets[k] + self.counts[k]) for k in drawn])
        images = self.images.chosen(which) if isinstance(self.images, StoredImages) else self.images[which]
        offsets = np.cumsum(counts, dtype=np.int32) - counts
        alphabets = self.alphabets and tuple(self.alphabets[k] for k in drawn)
        return ClassPool(images, offsets, counts, tuple(self.names[k] for k in drawn), self.views, alphabets)

    def with_channels(self, channels: int) -> "ClassPool":
        """The same images, converted from grey to three equal channels, or from colour to grey.

        Grey is luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

        Args:
            channels: 1 or 3.

        Raises:
            ValueError: if the images have, or should get, another number of channels.
        """
        if {channels, self.image_shape[-1]} - {1, 3}:
            raise ValueError(
                f"Images have 1 or 3 channels; {self.image_shape[-1]} channels cannot be converted to {channels}."
            )
        if channels == self.image_shape[-1]:
            return self
        return self._converted(lambda images: _with_channels(images, channels), channels)

    def inverted(self) -> "ClassPool":
        """The same images with dark and light exchanged."""
        return self._converted(lambda images: 255 - images, self.image_shape[-1])

    def _converted(self, function, channels):
        if isinstance(self.images, StoredImages):
            return self._replace(images=self.images.converted(function, channels))
        return self._replace(images=function(self.images))


def joined(pools: Sequence[ClassPool]) -> ClassPool:
    """Joins several pools into one, without views.

    Raises:
        DataError: if a class is in two of the pools.
    """
    shared = sorted({name for one, other in combinations(pools, 2) for name in {*one.names} & {*other.names}})
    if shared:
        raise DataError(f"The splits share the class {shared[0]!r}, so they cannot be joined: choose one split.")
    counts = np.concatenate([pool.counts for pool in pools])
    starts = np.cumsum([0, *(len(pool.images) for pool in pools[:-1])])
    offsets = np.concatenate([pool.offsets + start for pool, start in zip(pools, starts, strict=True)])
    names = tuple(name for pool in pools for name in pool.names)
    known = all(pool.alphabets for pool in pools)
    alphabets = tuple(alphabet for pool in pools for alphabet in pool.alphabets) if known else None
    return ClassPool(
        concatenate([pool.images for pool in pools]), offsets.astype(np.int32), counts, names, alphabets=alphabets
    )


def _with_channels(images, channels):
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    grey = np.empty((*images.shape[:-1], 1), np.uint8)
    for start in range(0, len(grey), 1024):  # a whole data set in floats would be large
        part = slice(start, start + 1024)
        grey[part, ..., 0] = np.rint(images[part] @ np.array([0.299, 0.587, 0.114], np.float32))
    return grey


def quarter_turns(size: int) -> np.ndarray:
    """Views of square images: unchanged, and rotated by 90, 180 and 270 degrees counter-clockwise.

    Args:
        size: height and width.

    Returns:
        int32 [4, size * size], see `ClassPool.views`.
    """
    pixels = np.arange(size * size, dtype=np.int32).reshape(size, size)
    return np.stack([np.rot90(pixels, turns).ravel() for turns in range(4)])
