"""Random changes to meta-training images that do not change their class."""

import math

import tensorflow as tf

_ROTATION = math.radians(10)
_SCALE = 0.15
_SHEAR = 0.15
_SHIFT = 0.08  # of the side

_LEAST_AREA = 0.5
_LOG_ASPECT = math.log(4 / 3)
_JITTER = 0.4
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def random_affine(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Rotates, stretches, shears and shifts each image by a small random amount, for drawings.

    Ranges: up to 10 degrees, 15 % along each axis, a shear of 0.15 and 8 % of the side. Pixels from outside the image
    repeat its border.

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
    # The source of a pixel (x, y), relative to the centre: rotation x shear x stretch, then the shift.
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


def random_photo(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Crops, mirrors and recolours each image at random, for photographs.

    A crop of 50 to 100 % of the area, stretched by up to 4/3 either way as far as it fits, is resized to the whole
    image (after Szegedy et al., Going Deeper with Convolutions, 2015, whose crops go down to 8 %). Half of the images
    are mirrored. Brightness, contrast and saturation change by up to 40 %; grey images have no saturation.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3.
        seed: int [2].

    Returns:
        uint8 [N, H, W, C].
    """
    number = tf.shape(images)[0]
    parts = tf.random.stateless_uniform([8, number], seed)
    area = _LEAST_AREA + (1 - _LEAST_AREA) * parts[0]
    aspect = tf.exp(_LOG_ASPECT * (2 * parts[1] - 1))
    height, width = (tf.minimum(tf.sqrt(area * ratio), 1.0) for ratio in (1 / aspect, aspect))
    top, left = (1 - height) * parts[2], (1 - width) * parts[3]
    bottom, right = top + height, left + width
    mirrored = parts[4] < 0.5  # a box from right to left
    boxes = tf.stack([top, tf.where(mirrored, right, left), bottom, tf.where(mirrored, left, right)], axis=1)
    cut = tf.image.crop_and_resize(images, boxes, tf.range(number), images.shape[1:3])
    # All three change the colours of an image linearly: together they are one matrix and one shift.
    brightness, contrast, saturation = tf.unstack(1 + _JITTER * (2 * parts[5:, :, None, None] - 1))
    channels = images.shape[-1]
    luma = tf.constant([_LUMA if channels == 3 else (1.0,)])
    colours = brightness * (saturation * tf.eye(channels) + (1 - saturation) * tf.transpose(luma))
    pixels = tf.reshape(cut, [number, -1, channels])
    mean = tf.reduce_mean(tf.matmul(tf.reduce_mean(pixels, axis=1, keepdims=True), colours), axis=2, keepdims=True)
    changed = tf.matmul(pixels, contrast * colours) + ((1 - contrast) * mean + 0.5)  # a cast truncates
    return tf.reshape(tf.saturate_cast(changed, tf.uint8), tf.shape(images))


AUGMENTATIONS = {"none": None, "affine": random_affine, "photo": random_photo}
