"""The one way in which images are brought to the size that a network sees, in training and in exports."""

import tensorflow as tf

MAX_SIDE = 2**16 - 1
"""Pixels that an image may be high or wide, those of JPEG: the sums below stay exact, and the weights small."""


def resize(images: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Images of another size: averages of areas along an axis that shrinks, linear interpolation along one that grows.

    Proportions are not kept. The weights are whole numbers, so the sums are too: at most 255 * H or 510 * height along
    the first axis, which float32 holds up to `MAX_SIDE`, and their product with those of the other axis, which
    float64 holds. So the result is the same on every machine, in a data set and in an export. A GPU would round.

    Args:
        images: uint8 [n, H, W, C], H and W at most `MAX_SIDE`.
        height: of the result.
        width: of the result.

    Returns:
        uint8 [n, height, width, C], rounded.
    """
    with tf.device("CPU:0"):
        old_height, old_width = (_static_or_dynamic(images, axis) for axis in (1, 2))
        rows, row_sum = _weights(old_height, height)
        columns, column_sum = _weights(old_width, width)
        channels, size = images.shape[-1], tf.shape(images)
        # One product for all rows of pixels; einsum would move the channels of a large picture about.
        flat = tf.reshape(tf.cast(images, tf.float32), tf.stack([size[0], size[1], size[2] * channels]))
        sums = tf.reshape(tf.matmul(rows, flat), tf.stack([size[0], height, size[2], channels]))
        sums = tf.einsum("wW,nhWc->nhwc", tf.cast(columns, tf.float64), tf.cast(sums, tf.float64))
        return tf.cast(tf.round(sums / (row_sum * column_sum)), tf.uint8)


def _static_or_dynamic(images, axis):
    return tf.shape(images)[axis] if images.shape[axis] is None else images.shape[axis]


def _weights(old, new):
    """Whole numbers float32 [new, old], how much each old pixel counts in each new one, and the sum of a row."""
    old, new = tf.cast(old, tf.int64), tf.cast(new, tf.int64)
    here, there = tf.range(new)[:, None], tf.range(old)[None]
    # On an axis of old * new steps: by how much new and old pixels overlap.
    overlap = tf.minimum((here + 1) * old, (there + 1) * new) - tf.maximum(here * old, there * new)
    # On an axis where pixels are 2 * new steps apart: how near an old centre is to a new one; beyond the last it stays.
    centre = tf.clip_by_value((2 * here + 1) * old - new, 0, 2 * new * (old - 1))
    nearness = 2 * new - tf.abs(centre - 2 * new * there)
    shrinks = new <= old
    weights = tf.maximum(tf.where(shrinks, overlap, nearness), 0)
    return tf.cast(weights, tf.float32), tf.cast(tf.where(shrinks, old, 2 * new), tf.float64)
