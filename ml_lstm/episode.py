"""The problem that data makes and methods solve."""

from typing import NamedTuple

import tensorflow as tf


class Episode(NamedTuple):
    """One N-way K-shot problem; a meta-batch of them has one more dimension in front.

    Attributes:
        support_images: uint8 [S, H, W, C], or float in [0, 1].
        support_labels: int32 [S], in [0, n_way).
        query_images: like `support_images`, [Q, H, W, C].
        query_labels: int32 [Q].
    """

    support_images: tf.Tensor
    support_labels: tf.Tensor
    query_images: tf.Tensor
    query_labels: tf.Tensor


def correct(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Where the largest of `logits` [..., K] is that of the label, int [...]: float32 [...], 1 or 0."""
    return tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.cast(labels, tf.int32)), tf.float32)
