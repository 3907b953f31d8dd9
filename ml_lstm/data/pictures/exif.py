"""Reads an image's orientation from its EXIF data and rotates it."""

import tensorflow as tf

from ml_lstm.data.pictures.reading import MOST_SEGMENTS


def orientation_at(start, data, size):
    """The orientation in the EXIF data at an index, 1 to 8; 1 if it is missing or the data are damaged."""
    little_endian = tf.equal(data[start], ord("I"))

    def integer(positions, width):
        positions, places = tf.clip_by_value(positions, 0, size), tf.range(width)
        digits = tf.gather(data, positions[..., None] + tf.where(little_endian, places, places[::-1]))
        return tf.reduce_sum(tf.bitwise.left_shift(digits, 8 * places), axis=-1)

    directory = start + tf.clip_by_value(integer(start + 4, 4), 0, size)
    entries = directory + 2 + 12 * tf.range(tf.clip_by_value(integer(directory, 2), 0, MOST_SEGMENTS))
    kinds = integer(entries + 2, 2)
    is_number = tf.reduce_any(tf.equal(kinds[:, None], [1, 3, 4]), axis=1) & tf.equal(integer(entries + 4, 4), 1)
    one, two, four = (integer(entries + 8, width) for width in (1, 2, 4))
    numbers = tf.where(tf.equal(kinds, 1), one, tf.where(tf.equal(kinds, 3), two, four))
    found = tf.boolean_mask(numbers, tf.equal(integer(entries, 2), 0x0112) & is_number)
    value = tf.concat([[1], found], axis=0)[-1]
    is_tiff = tf.equal(data[start], data[start + 1]) & tf.reduce_any(tf.equal(data[start], [ord("I"), ord("M")]))
    is_tiff &= tf.equal(data[start + 2] + data[start + 3], 42) & tf.equal(data[start + 2] * data[start + 3], 0)
    return tf.where(is_tiff & (value >= 1) & (value <= 8), value, 1)


def turned(picture, orientation):
    """Rotates and mirrors [H, W, C] as EXIF's `orientation` says."""

    def among(*values):
        return tf.reduce_any(tf.equal(orientation, values))

    for needed, turn in (
        (among(5, 6, 7, 8), lambda image: tf.transpose(image, [1, 0, 2])),
        (among(3, 4, 7, 8), lambda image: tf.reverse(image, [0])),
        (among(2, 3, 6, 7), lambda image: tf.reverse(image, [1])),
    ):
        picture = tf.cond(needed, lambda turn=turn, image=picture: turn(image), lambda image=picture: image)
    return picture
