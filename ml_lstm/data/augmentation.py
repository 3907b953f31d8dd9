"""Random changes to meta-training pictures that leave their class what it is."""

import math

import tensorflow as tf

_ROTATION = math.radians(10)
_SCALE = 0.15
_SHEAR = 0.15
_SHIFT = 0.08  # of the side


def random_affine(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Turns, stretches, shears and shifts every picture a little, each its own way, as another hand would draw.

    By up to 10 degrees, 15 % along each axis, a shear of 0.15 and 8 % of the side; what moves in from outside
    repeats the border.

    Args:
        images: uint8 [N, S, S, C].
        seed: int [2].

    Returns:
        uint8 [N, S, S, C].
    """
    number, size = tf.shape(images)[0], images.shape[1]
    parts = tf.random.stateless_uniform([6, number], seed, -1.0, 1.0)
    angle, shear = _ROTATION * parts[0], _SHEAR * parts[1]
    stretch_x, stretch_y = 1 + _SCALE * parts[2], 1 + _SCALE * parts[3]
    shift_x, shift_y = _SHIFT * size * parts[4], _SHIFT * size * parts[5]
    # Where a pixel (x, y) from the centre is taken from: rotation x shear x stretch, then the shift.
    xx, xy = tf.cos(angle) * stretch_x, (shear * tf.cos(angle) - tf.sin(angle)) * stretch_y
    yx, yy = tf.sin(angle) * stretch_x, (shear * tf.sin(angle) + tf.cos(angle)) * stretch_y
    centre = (size - 1) / 2
    x0, y0 = centre - (xx + xy) * centre + shift_x, centre - (yx + yy) * centre + shift_y
    zero = tf.zeros_like(xx)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([xx, xy, x0, yx, yy, y0, zero, zero], axis=1),
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


AUGMENTATIONS = {"none": None, "affine": random_affine}
