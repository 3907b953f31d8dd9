"""Few-shot problems drawn from a pool of classes, inside the graph, each a function of seed and index."""

import tensorflow as tf

from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sampler import Sampler
from ml_lstm.episode import Episode


class EpisodeSampler(Sampler):
    """Draws N-way K-shot episodes from a `ClassPool`.

    Args:
        pool: the classes.
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
            raise DataError(
                f"{name} has {pool.num_classes} classes, too few for {n_way}-way episodes: "
                "lower --n_way, or --train_n_way in meta-training."
            )
        fewest = int(pool.counts.min())
        if k_shot + n_query > fewest:
            smallest = pool.names[int(pool.counts.argmin())]
            raise DataError(
                f"{name} needs {k_shot} support + {n_query} query images a class, but {smallest!r} has {fewest}: "
                "lower --k_shot or --n_query, or --train_k_shot or --train_n_query in meta-training."
            )
        super().__init__(pool, seed, augment)
        self.n_way, self.k_shot, self.n_query = n_way, k_shot, n_query

    def sample(self, index: tf.Tensor) -> Episode:
        """The episode number `index`: always the same for the same seed."""
        seed = tf.random.fold_in(tf.constant([self.seed, 0], tf.int64), tf.cast(index, tf.int64))
        class_seed, image_seed = tf.unstack(tf.random.split(seed, 2))
        classes = _choose(class_seed, tf.fill([1], self.pool.num_classes), self.n_way)[0]
        sources, views = classes % len(self.pool.counts), classes // len(self.pool.counts)
        counts = tf.gather(tf.constant(self.pool.counts), sources)
        chosen = _choose(image_seed, counts, self.k_shot + self.n_query)
        chosen += tf.gather(tf.constant(self.pool.offsets), sources)[:, None]
        images = self._pictures(chosen, views, tf.random.fold_in(image_seed, 1))
        labels = tf.repeat(tf.range(self.n_way), self.k_shot), tf.repeat(tf.range(self.n_way), self.n_query)
        shape = (-1, *self.pool.image_shape)
        return Episode(
            tf.reshape(images[:, : self.k_shot], shape),
            labels[0],
            tf.reshape(images[:, self.k_shot :], shape),
            labels[1],
        )


def _choose(seed: tf.Tensor, totals: tf.Tensor, number: int) -> tf.Tensor:
    """For each of `totals` [n], `number` different integers below it, uniformly: int32 [n, number]."""
    ranks = tf.random.stateless_uniform([tf.size(totals), tf.reduce_max(totals)], seed)
    allowed = tf.range(tf.reduce_max(totals))[None, :] < totals[:, None]
    return tf.math.top_k(tf.where(allowed, ranks, -1.0), number).indices
