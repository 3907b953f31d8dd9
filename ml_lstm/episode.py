"""What data make and methods solve."""

from typing import NamedTuple

import tensorflow as tf


class Problem(NamedTuple):
    """What every method is told of the data that it is for.

    Attributes:
        image_shape: `(height, width, channels)`.
        n_way: the most classes that an episode of the setting has, in meta-training or after.
        train_classes: how many classes there are to meta-train on; None where that is not known.
        image_mean: what is taken from pixels in [0, 1], a number or one a channel.
        image_std: what they are then divided by.
    """

    image_shape: tuple[int, int, int]
    n_way: int
    train_classes: int | None = None
    image_mean: float | tuple[float, ...] = 0.0
    image_std: float | tuple[float, ...] = 1.0


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

    def __repr__(self):
        return _in_one_line(self)


class LabelledBatch(NamedTuple):
    """Images of any meta-train classes, for methods that learn to tell all of them apart.

    Attributes:
        images: uint8 [n, H, W, C], or float in [0, 1].
        labels: int32 [n], in [0, train_classes).
    """

    images: tf.Tensor
    labels: tf.Tensor

    def __repr__(self):
        return _in_one_line(self)


def as_meta_batch(items: Episode | LabelledBatch | tuple) -> Episode | LabelledBatch:
    """What `fit` hands on, by name; a single episode is a meta-batch of one."""
    items = (LabelledBatch if len(items) == 2 else Episode)(*items)
    return items if len(items[-1].shape) == 2 else type(items)(*(tensor[None] for tensor in items))


def correct(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Where the largest of `logits` [..., K] is that of the label, int [...]: float32 [...], 1 or 0."""
    return tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.cast(labels, tf.int32)), tf.float32)


def _in_one_line(tensors):
    parts = (f"{name}={_shown(tensor)}" for name, tensor in tensors._asdict().items())
    return f"{type(tensors).__name__}({', '.join(parts)})"


def _shown(tensor):
    kind = getattr(tensor.dtype, "name", tensor.dtype) if hasattr(tensor, "dtype") else type(tensor).__name__
    return f"{kind}{list(getattr(tensor, 'shape', []))}"
