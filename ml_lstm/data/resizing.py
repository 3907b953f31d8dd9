"""Resizes images to a network's input size, in the same way in training and in exports."""

import tensorflow as tf

MAX_SIDE = 2**16 - 1
"""Maximum height or width in pixels, as in JPEG: up to it the sums below are exact and the weights are small."""


def resize(images: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Resizes images: averages of areas along an axis that shrinks, linear interpolation along an axis that grows.

    Proportions are not kept. The weights are integers, so the sums are exact: at most 255 * H or 510 * height along
    the first axis, which float32 represents exactly up to `MAX_SIDE`; their products with the weights of the other
    axis are exact in float64. So the result is the same on every machine, in a data set and in an export. It is
    computed on the CPU, because a GPU would round.

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
        # One matrix product for all rows of pixels; einsum would transpose the channels of a large image.
        flat = tf.reshape(tf.cast(images, tf.float32), tf.stack([size[0], size[1], size[2] * channels]))
        sums = tf.reshape(tf.matmul(rows, flat), tf.stack([size[0], height, size[2], channels]))
        sums = tf.einsum("wW,nhWc->nhwc", tf.cast(columns, tf.float64), tf.cast(sums, tf.float64))
        return tf.cast(tf.round(sums / (row_sum * column_sum)), tf.uint8)


def _static_or_dynamic(images, axis):
    return tf.shape(images)[axis] if images.shape[axis] is None else images.shape[axis]


def _weights(old, new):
    """Integer weights, float32 [new, old], of each old pixel in each new one, and the sum of a row."""
    old, new = tf.cast(old, tf.int64), tf.cast(new, tf.int64)
    here, there = tf.range(new)[:, None], tf.range(old)[None]
    # On an axis of old * new steps: the overlap of new and old pixels.
    overlap = tf.minimum((here + 1) * old, (there + 1) * new) - tf.maximum(here * old, there * new)
    # On an axis where old pixels are 2 * new steps apart: how near an old centre is to a new one. A new centre beyond
    # the last old one is moved onto it.
    centre = tf.clip_by_value((2 * here + 1) * old - new, 0, 2 * new * (old - 1))
    nearness = 2 * new - tf.abs(centre - 2 * new * there)
    shrinks = new <= old
    weights = tf.maximum(tf.where(shrinks, overlap, nearness), 0)
    return tf.cast(weights, tf.float32), tf.cast(tf.where(shrinks, old, 2 * new), tf.float64)
