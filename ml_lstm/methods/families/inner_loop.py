"""Parts that methods share inside an episode: mini-batches, orders, masks and the inner loss."""

from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from ml_lstm.episode import as_unit_range

# Added to the logit of a class that the support set does not have: its probability underflows to exactly 0.
MASKED_LOGIT = -1e9


class InnerBatch(NamedTuple):
    """The examples of an inner step.

    Attributes:
        images: [n, ...], or the output of the learner's frozen beginning for them.
        labels: int32 [n].
        mask: [K], 1 for the classes of the support set.
        weights: float64 [n], the weight of each image in the loss, see `balanced_weights`.
    """

    images: tf.Tensor
    labels: tf.Tensor
    mask: tf.Tensor
    weights: tf.Tensor


def class_mask(labels: tf.Tensor, n_way: int) -> tf.Tensor:
    """Which of `n_way` classes occur among `labels` [S]: 1.0 or 0.0, [n_way]."""
    return tf.cast(tf.math.unsorted_segment_sum(tf.ones_like(labels), labels, n_way) > 0, tf.float32)


def mask_logits(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """`logits` [n, n_way], with `MASKED_LOGIT` added for classes whose `mask` [n_way] is 0."""
    return logits + tf.cast(1.0 - mask, logits.dtype) * MASKED_LOGIT


def mean_cross_entropy(labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Mean over examples of the cross-entropy of `logits` [n, n_way] and `labels` [n], a scalar in nats.

    Args:
        labels: int [n].
        logits: [n, n_way].
        weights: of the examples, [n], see `balanced_weights`; None: all 1.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(losses if weights is None else losses * tf.cast(weights, losses.dtype))


def balanced_weights(labels: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Weights of examples that give each class the same weight, whatever its shots.

    If all classes have equally many examples, as in the papers, the weights are exactly 1. Otherwise a gradient step on
    the plain mean would favour the classes with most examples in every answer.

    Args:
        labels: int [S], of a support set.
        mask: [K], 1 for the classes in the support set.

    Returns:
        float64 [S], 1 on average.
    """
    shots = tf.math.unsorted_segment_sum(tf.ones_like(labels, tf.float64), labels, tf.size(mask))
    return tf.cast(tf.size(labels), tf.float64) / (tf.gather(shots, labels) * tf.cast(tf.reduce_sum(mask), tf.float64))


def squared_distances(rows: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """The squared Euclidean distances [m, n] between rows [m, F] and others [n, F]."""
    return tf.reduce_sum(tf.math.squared_difference(rows[:, None], others[None]), axis=2)


def canonical_order(features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """An order of a support set that does not depend on the caller's order: by class, then by the features' sum.

    Args:
        features: [S, F].
        labels: int [S].

    Returns:
        int32 [S], indices.
    """
    by_sum = tf.argsort(tf.reduce_sum(features, axis=1), stable=True)
    return tf.gather(by_sum, tf.argsort(tf.gather(labels, by_sum), stable=True))


def seed_of(images: tf.Tensor) -> tf.Tensor:
    """A seed that depends only on the images, not on their order.

    Args:
        images: [..., n, H, W, C], see `as_unit_range`.

    Returns:
        int32 [...], the sum of the pixels from 0 to 255.
    """
    return tf.reduce_sum(tf.cast(tf.round(as_unit_range(images) * 255), tf.int32), axis=[-4, -3, -2, -1])


def random_order(features: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A random order of a support set that does not depend on the caller's order.

    Args:
        features: [S, F].
        labels: int [S].
        seed: int32 scalar, for example `seed_of(images)`.

    Returns:
        int32 [S], indices.
    """
    return tf.random.experimental.stateless_shuffle(canonical_order(features, labels), [seed, 0])


def inner_batch_indices(labels: tf.Tensor, steps: int, batch_size: int | None) -> list[tf.Tensor | None]:
    """The support examples of each inner step.

    The examples are listed class after class: the first example of each class, then the second ones, and so on. The
    steps take them in turn and restart at the end of the list. So each mini-batch is as balanced as possible, no
    randomness is involved, and the order in which a caller lists the classes does not matter.

    Args:
        labels: int [S].
        steps: number of inner steps.
        batch_size: examples in a step; None for the whole support set.

    Returns:
        For each step the indices, int [min(batch_size, S)], or None if a step takes the support set as it is.
    """
    if batch_size is None or (labels.shape[0] is not None and batch_size >= labels.shape[0]):
        return [None] * steps
    size = tf.shape(labels)[0]
    same_class = tf.equal(labels[:, None], labels[None, :])
    earlier = tf.linalg.band_part(tf.ones([size, size], tf.int32), -1, 0) - tf.eye(size, dtype=tf.int32)
    nth_of_its_class = tf.reduce_sum(tf.cast(same_class, tf.int32) * earlier, axis=1)
    order = tf.argsort(nth_of_its_class * (tf.reduce_max(labels) + 1) + labels, stable=True)
    taken = tf.range(tf.minimum(batch_size, size))
    return [tf.gather(order, (step * batch_size + taken) % size) for step in range(steps)]


def whole_batch(images: tf.Tensor, labels: tf.Tensor, n_classes: int | tf.Tensor) -> InnerBatch:
    """A whole support set as one batch: images [S, ...] and labels int32 [S], of at most `n_classes` classes."""
    mask = class_mask(labels, n_classes)
    return InnerBatch(images, labels, mask, balanced_weights(labels, mask))


def inner_batches(support: InnerBatch, steps: int, batch_size: int | None) -> Iterator[InnerBatch]:
    """The batches of a support set, one for each inner step, see `inner_batch_indices`."""
    for taken in inner_batch_indices(support.labels, steps, batch_size):
        if taken is None:
            yield support
        else:
            images, labels, weights = (tf.gather(of, taken) for of in (support.images, support.labels, support.weights))
            yield InnerBatch(images, labels, support.mask, weights)
