"""Few-shot episodes sampled from a pool of classes, inside the graph, each a function of seed and index."""

import numpy as np
import tensorflow as tf

from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sampler import Sampler
from ml_lstm.episode import Episode


class EpisodeSampler(Sampler):
    """Samples N-way K-shot episodes from a `ClassPool`.

    Args:
        pool: the classes.
        n_way: classes per episode.
        k_shot: support images per class.
        n_query: query images per class.
        seed: determines each episode, together with its index.
        name: name of the split, for messages.
        augment: how the images of an episode are augmented, one of `AUGMENTATIONS`.
        within_alphabets: whether the classes of an episode are from one alphabet, in one view: a rotated alphabet
            counts as another alphabet. Alphabets with at least `n_way` classes are equally likely; others are left out.

    Raises:
        DataError: if the pool, or every alphabet, has too few classes; if a class has too few images; or if
            `within_alphabets` is set and the pool has no alphabets.
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
        within_alphabets: bool = False,
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
                f"{name} needs {k_shot} support + {n_query} query images per class, but {smallest!r} has {fewest}: "
                "lower --k_shot or --n_query, or --train_k_shot or --train_n_query in meta-training."
            )
        super().__init__(pool, seed, augment)
        self.n_way, self.k_shot, self.n_query = n_way, k_shot, n_query
        self._alphabets = _classes_by_alphabet(pool, n_way, name) if within_alphabets else None

    def sample(self, index: tf.Tensor) -> Episode:
        """Returns episode number `index`, always the same for the same seed."""
        seed = tf.random.fold_in(tf.constant([self.seed, 0], tf.int64), tf.cast(index, tf.int64))
        class_seed, image_seed = tf.unstack(tf.random.split(seed, 2))
        sources, views = self._choose_classes(class_seed)
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

    def _choose_classes(self, seed):
        """Indices [n_way] of classes of the pool, and of their views."""
        if self._alphabets is None:
            classes = _choose(seed, tf.fill([1], self.pool.num_classes), self.n_way)[0]
            return classes % len(self.pool.counts), classes // len(self.pool.counts)
        alphabet_seed, seed = tf.unstack(tf.random.split(seed, 2))
        alphabets = len(self._alphabets)
        drawn = _choose(alphabet_seed, tf.constant([alphabets * self.pool.num_views]), 1)[0, 0]
        classes = tf.ragged.constant(self._alphabets)[drawn % alphabets]
        sources = tf.gather(classes, _choose(seed, tf.size(classes)[None], self.n_way)[0])
        return sources, tf.fill([self.n_way], drawn // alphabets)


def _classes_by_alphabet(pool: ClassPool, least: int, name: str) -> list[list[int]]:
    """The classes of each alphabet that has at least `least` classes."""
    if pool.alphabets is None:
        raise DataError(f"{name} has no alphabets: use --nowithin_alphabets, or --dataset=omniglot.")
    alphabets = np.array(pool.alphabets)
    classes = {alphabet: np.flatnonzero(alphabets == alphabet).tolist() for alphabet in sorted(set(pool.alphabets))}
    largest = max(classes, key=lambda alphabet: len(classes[alphabet]))
    if len(classes[largest]) < least:
        raise DataError(
            f"{name} has no alphabet of {least} classes; the largest, {largest!r}, has {len(classes[largest])}: "
            "lower --n_way, or --train_n_way in meta-training, or use --nowithin_alphabets."
        )
    return [found for found in classes.values() if len(found) >= least]


def _choose(seed: tf.Tensor, totals: tf.Tensor, number: int) -> tf.Tensor:
    """For each of `totals` [n], samples `number` different integers below it, uniformly: int32 [n, number]."""
    ranks = tf.random.stateless_uniform([tf.size(totals), tf.reduce_max(totals)], seed)
    allowed = tf.range(tf.reduce_max(totals))[None, :] < totals[:, None]
    return tf.math.top_k(tf.where(allowed, ranks, -1.0), number).indices
