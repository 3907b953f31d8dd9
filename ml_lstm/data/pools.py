"""The in-memory form of a set of classes: every image in one array, class after class."""

from typing import NamedTuple

import numpy as np


class ClassPool(NamedTuple):
    """The classes of one split and all their images.

    Class `k` owns `images[offsets[k] : offsets[k] + counts[k]]`. With `rotations=4` every class also
    counts as three more, its pictures turned by 90, 180 and 270 degrees (Vinyals et al. 2016 do so with
    Omniglot); the turned pictures are made when an episode is sampled and take no memory.

    Attributes:
        images: uint8 [N, H, W, C].
        offsets: int32 [K], where each class starts in `images`.
        counts: int32 [K], how many images each class has.
        names: K class names.
        rotations: 1 or 4, classes made of each class by quarter turns.
    """

    images: np.ndarray
    offsets: np.ndarray
    counts: np.ndarray
    names: tuple[str, ...]
    rotations: int = 1

    @classmethod
    def from_classes(cls, classes: dict[str, np.ndarray], rotations: int = 1) -> "ClassPool":
        """Joins `{class name: uint8 [n, H, W, C]}`, in the order of the dictionary."""
        counts = np.array([len(images) for images in classes.values()], np.int32)
        offsets = np.cumsum(counts, dtype=np.int32) - counts
        return cls(np.concatenate(list(classes.values())), offsets, counts, tuple(classes), rotations)

    @property
    def num_classes(self) -> int:
        """Classes that an episode can draw from, turned ones counted."""
        return len(self.counts) * self.rotations

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of every image."""
        return tuple(self.images.shape[1:])
