"""Few-shot problems drawn from a pool of classes, inside the graph, each a function of seed and index."""

import numpy as np
import tensorflow as tf

from ml_lstm.data.augmentation import AUGMENTATIONS
from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool
from ml_lstm.episode import Episode


class EpisodeSampler:
    """Draws N-way K-shot episodes from a `ClassPool`.

    Args:
        pool: the classes; their images stay in memory as uint8.
        n_way: classes an episode.
        k_shot: support images a class.
        n_query: query images a class.
        seed: with an episode's index, what decides it.
        name: of the split, for messages.
        augment: one of `AUGMENTATIONS`, what is done to the images of an episode.

    Raises:
        DataError: if the pool has too few classes, or a class too few images.
    """

    def __init__(
        self,
        pool: ClassPool,
        n_way: int,
        k_shot: int,
        n_query: int,
        seed: int = 0,
        name: str = "this split",
        augment: str = "none",
    ):
        if n_way > pool.num_classes:
            raise DataError(f"{name} has {pool.num_classes} classes, too few for {n_way}-way episodes: lower --n_way.")
        fewest = int(pool.counts.min())
        if k_shot + n_query > fewest:
            smallest = pool.names[int(pool.counts.argmin())]
            raise DataError(
                f"{name} needs {k_shot} support + {n_query} query images a class, but {smallest!r} has {fewest}: "
                "lower --k_shot or --n_query."
            )
        self.pool = pool
        self.n_way, self.k_shot, self.n_query = n_way, k_shot, n_query
        self.seed = seed
        self._augment = AUGMENTATIONS[augment]

    def sample(self, index: tf.Tensor) -> Episode:
        """The episode number `index`: always the same for the same seed."""
        seed = tf.random.fold_in(tf.constant([self.seed, 0], tf.int64), tf.cast(index, tf.int64))
        class_seed, image_seed = tf.unstack(tf.random.split(seed, 2))
        classes = _choose(class_seed, tf.fill([1], self.pool.num_classes), self.n_way)[0]
        sources, turns = classes % len(self.pool.counts), classes // len(self.pool.counts)
        counts = tf.gather(tf.constant(self.pool.counts), sources)
        chosen = _choose(image_seed, counts, self.k_shot + self.n_query)
        chosen += tf.gather(tf.constant(self.pool.offsets), sources)[:, None]
        images = tf.gather(self._images(), chosen)
        if self.pool.rotations > 1:
            images = _turn(images, turns)
        if self._augment:
            flat = self._augment(tf.reshape(images, (-1, *self.pool.image_shape)), tf.random.fold_in(image_seed, 1))
            images = tf.reshape(flat, tf.shape(images))
        labels = tf.repeat(tf.range(self.n_way), self.k_shot), tf.repeat(tf.range(self.n_way), self.n_query)
        shape = (-1, *self.pool.image_shape)
        return Episode(
            tf.reshape(images[:, : self.k_shot], shape),
            labels[0],
            tf.reshape(images[:, self.k_shot :], shape),
            labels[1],
        )

    def dataset(self, start: int = 0, count: int | None = None) -> tf.data.Dataset:
        """Episodes `start`, `start + 1`, ...: `count` of them, or without end."""
        stop = tf.int64.max if count is None else start + count
        indices = tf.data.Dataset.range(start, stop)
        return indices.map(self.sample, num_parallel_calls=2, deterministic=True)

    def _images(self) -> tf.Tensor:
        # Made once and captured by reference: as a constant of the graph it would be copied into each graph.
        if not hasattr(self, "_images_tensor"):
            with tf.init_scope():
                self._images_tensor = tf.constant(self.pool.images)
        return self._images_tensor


def _choose(seed: tf.Tensor, totals: tf.Tensor, number: int) -> tf.Tensor:
    """For each of `totals` [n], `number` different integers below it, uniformly: int32 [n, number]."""
    ranks = tf.random.stateless_uniform([tf.size(totals), tf.reduce_max(totals)], seed)
    allowed = tf.range(tf.reduce_max(totals))[None, :] < totals[:, None]
    return tf.math.top_k(tf.where(allowed, ranks, -1.0), number).indices


def _turn(images: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Turns class k's square `images` [N, n, S, S, C] by `turns[k]` quarters, counter-clockwise."""
    size, channels = images.shape[2], images.shape[4]
    pixels = np.arange(size * size).reshape(size, size)
    source = tf.constant(np.stack([np.rot90(pixels, turn).ravel() for turn in range(4)]))
    flat = tf.reshape(images, [tf.shape(images)[0], -1, size * size, channels])
    turned = tf.gather(flat, tf.gather(source, turns), axis=2, batch_dims=1)
    return tf.reshape(turned, tf.shape(images))
