"""What methods share inside an episode: mini-batches, orders, masks and the inner loss."""

from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

# Added to the logit of a class that the support set lacks: its probability underflows to exactly 0.
MASKED_LOGIT = -1e9


class InnerBatch(NamedTuple):
    """What an inner step sees.

    Attributes:
        images: [n, ...], as far as the learner's frozen beginning has made something of them.
        labels: int32 [n].
        mask: [K], 1 for the classes of the support set.
    """

    images: tf.Tensor
    labels: tf.Tensor
    mask: tf.Tensor


def class_mask(labels: tf.Tensor, n_way: int) -> tf.Tensor:
    """Which of `n_way` classes occur among `labels` [S]: 1.0 or 0.0, [n_way]."""
    return tf.cast(tf.math.unsorted_segment_sum(tf.ones_like(labels), labels, n_way) > 0, tf.float32)


def mask_logits(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Takes the classes whose `mask` [n_way] is 0 out of the running in `logits` [n, n_way]."""
    return logits + tf.cast(1.0 - mask, logits.dtype) * MASKED_LOGIT


def mean_cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Mean over examples of the cross-entropy of `logits` [n, n_way] and `labels` [n], a scalar in nats."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def squared_distances(rows: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Of [m, F] and [n, F]: the squared Euclidean distances [m, n] between them."""
    return tf.reduce_sum(tf.math.squared_difference(rows[:, None], others[None]), axis=2)


def canonical_order(features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """An order of a support set that does not depend on how a caller lists it: by class, then by the features' sum.

    Args:
        features: [S, F].
        labels: int [S].

    Returns:
        int32 [S], indices.
    """
    by_sum = tf.argsort(tf.reduce_sum(features, axis=1), stable=True)
    return tf.gather(by_sum, tf.argsort(tf.gather(labels, by_sum), stable=True))


def inner_batch_indices(labels: tf.Tensor, steps: int, batch_size: int | None) -> list[tf.Tensor | None]:
    """Which support examples each inner step sees.

    The examples are dealt class after class, first examples first, and the steps take them in turn, going
    around as often as needed. So each mini-batch is as balanced as it can be, no randomness is involved, and
    the order in which a caller lists the classes does not matter.

    Args:
        labels: int [S].
        steps: inner steps.
        batch_size: examples a step; None for the whole support set.

    Returns:
        For each step int [min(batch_size, S)] indices, or None where a step takes the support set as it is.
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


def inner_batches(support: InnerBatch, steps: int, batch_size: int | None) -> Iterator[InnerBatch]:
    """What each inner step sees of a support set, see `inner_batch_indices`."""
    for taken in inner_batch_indices(support.labels, steps, batch_size):
        if taken is None:
            yield support
        else:
            yield InnerBatch(tf.gather(support.images, taken), tf.gather(support.labels, taken), support.mask)
