"""The in-memory form of a set of classes: every image in one array, class after class."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ml_lstm.data.errors import DataError
from ml_lstm.data.stored import StoredImages, concatenate


class ClassPool(NamedTuple):
    """The classes of one split and all their images.

    Class `k` owns `images[offsets[k] : offsets[k] + counts[k]]`. With `views` every class counts several times, its
    pixels in another order each time: turned by quarters (Vinyals et al. 2016 do so with Omniglot), or shuffled.
    Such pictures are made when an episode is sampled and take no memory.

    Attributes:
        images: uint8 [N, H, W, C], an array or `stored.StoredImages`.
        offsets: int32 [K], where each class starts in `images`.
        counts: int32 [K], how many images each class has.
        names: K class names.
        views: int32 [V, H * W]; view `v` shows at pixel `p` what the picture has at `views[v, p]`. None for pictures
            as they are.
        alphabets: of each of the K classes the alphabet that it belongs to; None where the source knows of none.
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
        """How many classes are made of each."""
        return 1 if self.views is None else len(self.views)

    @property
    def num_classes(self) -> int:
        """Classes that an episode can draw from, every view counted."""
        return len(self.counts) * self.num_views

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of every image."""
        return tuple(self.images.shape[1:])

    def some(self, most: int, seed: int) -> "ClassPool":
        """At most so many of the classes, views not counted, in their order, and their images alone.

        Args:
            most: how many.
            seed: decides which. Of two numbers the smaller gives a part of what the larger gives.
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
        """The same pictures, grey ones repeated in three channels, or coloured ones turned to grey.

        Grey is luma, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

        Args:
            channels: 1 or 3.

        Raises:
            ValueError: for another number.
        """
        if {channels, self.image_shape[-1]} - {1, 3}:
            raise ValueError(f"Images have 1 or 3 channels; asked to make {channels} of {self.image_shape[-1]}.")
        if channels == self.image_shape[-1]:
            return self
        return self._converted(lambda images: _with_channels(images, channels), channels)

    def inverted(self) -> "ClassPool":
        """The same pictures with dark for light."""
        return self._converted(lambda images: 255 - images, self.image_shape[-1])

    def _converted(self, function, channels):
        if isinstance(self.images, StoredImages):
            return self._replace(images=self.images.converted(function, channels))
        return self._replace(images=function(self.images))


def joined(pools: Sequence[ClassPool]) -> ClassPool:
    """The classes of several pools in one, as they are: without views.

    Raises:
        DataError: if a class is in two of them.
    """
    shared = sorted({name for one, other in combinations(pools, 2) for name in {*one.names} & {*other.names}})
    if shared:
        raise DataError(f"The splits share the class {shared[0]!r}, so they cannot be taken as one: name one of them.")
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
    for start in range(0, len(grey), 1024):  # whole data sets as floats are large
        part = slice(start, start + 1024)
        grey[part, ..., 0] = np.rint(images[part] @ np.array([0.299, 0.587, 0.114], np.float32))
    return grey


def quarter_turns(size: int) -> np.ndarray:
    """The views of square pictures as they are, and turned by 90, 180 and 270 degrees, counter-clockwise.

    Args:
        size: height and width.

    Returns:
        int32 [4, size * size], see `ClassPool.views`.
    """
    pixels = np.arange(size * size, dtype=np.int32).reshape(size, size)
    return np.stack([np.rot90(pixels, turns).ravel() for turns in range(4)])
