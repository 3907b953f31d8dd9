"""Mini-batches for ordinary classification over all classes of a pool, each a function of seed and index."""

import numpy as np
import tensorflow as tf

from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sampler import Sampler
from ml_lstm.episode import LabelledBatch


class BatchSampler(Sampler):
    """Samples images of a `ClassPool` uniformly, with replacement.

    Args:
        pool: the classes.
        batch_size: images in a batch.
        seed: determines each batch, together with its index.
        augment: how the images are augmented, one of `AUGMENTATIONS`.
    """

    def __init__(self, pool: ClassPool, batch_size: int, seed: int = 0, augment: str = "none"):
        super().__init__(pool, seed, augment)
        self.batch_size = batch_size

    def sample(self, index: tf.Tensor) -> LabelledBatch:
        """Returns batch number `index`, always the same for the same seed.

        Returns:
            `batch_size` images; labels are in [0, pool.num_classes).
        """
        seed = tf.random.fold_in(tf.constant([self.seed, 1], tf.int64), tf.cast(index, tf.int64))
        image_seed, view_seed, augment_seed = tf.unstack(tf.random.split(seed, 3))
        chosen = self._integers(image_seed, len(self.pool.images))
        views = self._integers(view_seed, self.pool.num_views)
        classes = len(self.pool.counts)
        class_of_image = tf.constant(np.repeat(np.arange(classes, dtype=np.int32), self.pool.counts))
        labels = views * classes + tf.gather(class_of_image, chosen)
        images = self._pictures(chosen[:, None], views, augment_seed)
        images = tf.reshape(images, (self.batch_size, *self.pool.image_shape))
        return LabelledBatch(images, labels)

    def _integers(self, seed, below):
        return tf.random.stateless_uniform([self.batch_size], seed, maxval=below, dtype=tf.int32)
