"""The base class of samplers: images from a pool, each item a function of seed and index."""

import tensorflow as tf

from ml_lstm.data.augmentation import AUGMENTATIONS
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.stored import StoredImages
from ml_lstm.episode import Episode, LabelledBatch


class Sampler:
    """Samples from a `ClassPool`, inside the graph.

    Args:
        pool: the classes.
        seed: determines each item, together with its index.
        augment: how the images are augmented, one of `AUGMENTATIONS`.
    """

    def __init__(self, pool: ClassPool, seed: int = 0, augment: str = "none"):
        self.pool = pool
        self.seed = seed
        self._augment = AUGMENTATIONS[augment]

    def sample(self, index: tf.Tensor) -> Episode | LabelledBatch:
        """Returns item number `index`, always the same for the same seed."""
        raise NotImplementedError

    def dataset(self, start: int = 0, count: int | None = None) -> tf.data.Dataset:
        """Items `start`, `start + 1`, ...: `count` of them, or infinitely many for None."""
        stop = tf.int64.max if count is None else start + count
        return self.items(tf.data.Dataset.range(start, stop))

    def items(self, indices: tf.data.Dataset) -> tf.data.Dataset:
        """The items with these indices, in their order."""
        # AutoGraph would take seconds and find nothing to convert.
        sample = tf.autograph.experimental.do_not_convert(self.sample)
        return indices.map(sample, num_parallel_calls=2, deterministic=True)

    def _pictures(self, chosen: tf.Tensor, views: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The images with indices `chosen` [N, n], row k in the pool's view `views[k]`, augmented: [N, n, H, W, C]."""
        images = self._read(chosen)
        if self.pool.views is not None:
            height, width, channels = self.pool.image_shape
            flat = tf.reshape(images, [tf.shape(images)[0], -1, height * width, channels])
            seen = tf.gather(flat, tf.gather(tf.constant(self.pool.views), views), axis=2, batch_dims=1)
            images = tf.reshape(seen, tf.shape(images))
        if self._augment:
            flat = self._augment(tf.reshape(images, (-1, *self.pool.image_shape)), seed)
            images = tf.reshape(flat, tf.shape(images))
        return images

    def _read(self, chosen):
        if isinstance(self.pool.images, StoredImages):
            images = tf.numpy_function(self.pool.images.__getitem__, [chosen], tf.uint8, stateful=False)
            return tf.ensure_shape(images, [*chosen.shape, *self.pool.image_shape])
        return tf.gather(self._images(), chosen)

    def _images(self) -> tf.Tensor:
        # Created once and captured by reference: as a constant it would be copied into each graph.
        if not hasattr(self, "_images_tensor"):
            with tf.init_scope():
                self._images_tensor = tf.constant(self.pool.images)
        return self._images_tensor
