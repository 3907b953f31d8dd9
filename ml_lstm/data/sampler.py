"""What samplers share: pictures taken from a pool, each item a function of seed and index."""

import numpy as np
import tensorflow as tf

from ml_lstm.data.augmentation import AUGMENTATIONS
from ml_lstm.data.pools import ClassPool
from ml_lstm.episode import Episode


class Sampler:
    """Draws from a `ClassPool`, inside the graph.

    Args:
        pool: the classes; their images stay in memory as uint8.
        seed: with an item's index, what decides it.
        augment: one of `AUGMENTATIONS`, what is done to the images.
    """

    def __init__(self, pool: ClassPool, seed: int = 0, augment: str = "none"):
        self.pool = pool
        self.seed = seed
        self._augment = AUGMENTATIONS[augment]

    def sample(self, index: tf.Tensor) -> Episode:
        """The item number `index`: always the same for the same seed."""
        raise NotImplementedError

    def dataset(self, start: int = 0, count: int | None = None) -> tf.data.Dataset:
        """Items `start`, `start + 1`, ...: `count` of them, or without end."""
        stop = tf.int64.max if count is None else start + count
        indices = tf.data.Dataset.range(start, stop)
        return indices.map(self.sample, num_parallel_calls=2, deterministic=True)

    def _pictures(self, chosen: tf.Tensor, turns: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Images [N, n, H, W, C] number `chosen` [N, n], those of row k turned by `turns[k]` quarters, augmented."""
        images = tf.gather(self._images(), chosen)
        if self.pool.rotations > 1:
            images = _turn(images, turns)
        if self._augment:
            flat = self._augment(tf.reshape(images, (-1, *self.pool.image_shape)), seed)
            images = tf.reshape(flat, tf.shape(images))
        return images

    def _images(self) -> tf.Tensor:
        # Made once and captured by reference: as a constant of the graph it would be copied into each graph.
        if not hasattr(self, "_images_tensor"):
            with tf.init_scope():
                self._images_tensor = tf.constant(self.pool.images)
        return self._images_tensor


def _turn(images: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Turns row k of square `images` [N, n, S, S, C] by `turns[k]` quarters, counter-clockwise."""
    size, channels = images.shape[2], images.shape[4]
    pixels = np.arange(size * size).reshape(size, size)
    source = tf.constant(np.stack([np.rot90(pixels, turn).ravel() for turn in range(4)]))
    flat = tf.reshape(images, [tf.shape(images)[0], -1, size * size, channels])
    turned = tf.gather(flat, tf.gather(source, turns), axis=2, batch_dims=1)
    return tf.reshape(turned, tf.shape(images))
