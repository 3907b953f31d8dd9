"""Decodes JPEGs, rotated as their EXIF data say."""

import tensorflow as tf

from ml_lstm.data.pictures.exif import orientation_at, turned
from ml_lstm.data.pictures.reading import MOST_SEGMENTS, bytes_of, size_checked


def size(contents, _header):
    """`(height, width)`, int64."""
    return tuple(tf.unstack(tf.image.extract_jpeg_shape(contents, tf.int64))[:2])


def decode(contents, header, where, side):
    """uint8 [H, W, 3]; see `pictures.decode`."""
    height, width = size(contents, header)
    with size_checked(height, width, where):
        return turned(_reduced(contents, tf.minimum(height, width), side), _orientation(contents))


def _reduced(contents, shorter, side):
    """RGB pixels of a JPEG whose shorter edge has `shorter` pixels, an int64 scalar; `side` as in `decode`."""

    def reduced(ratio):
        # RGB first, because the decoder does not convert CMYK to grey. INTEGER_ACCURATE agrees with other readers;
        # the default does not.
        return lambda: tf.io.decode_jpeg(contents, 3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    if side is None:
        return reduced(1)()
    halvings = tf.reduce_sum(tf.cast(shorter >= tf.constant([4, 8, 16], tf.int64) * side, tf.int32))
    return tf.switch_case(halvings, [reduced(2**times) for times in range(4)])


def _orientation(contents):
    """The orientation of a JPEG, 1 to 8 as in EXIF's tag 0x0112; 1, no rotation, if it is missing."""
    data = bytes_of(contents)
    size = tf.strings.length(contents)

    def is_exif(at):
        marker = tf.equal(data[at], 0xFF) & tf.equal(data[at + 1], 0xE1)
        return marker & tf.reduce_all(tf.equal(data[at + 4 : at + 10], list(b"Exif\0\0")))

    def goes_on(at, step):
        # 0xDA marks the beginning of the pixels, 0xD9 the end of the file.
        is_end = tf.equal(data[at], 0xFF) & tf.reduce_any(tf.equal(data[at + 1], [0xDA, 0xD9]))
        return ~is_end & ~is_exif(at) & (at + 4 <= size) & (step < MOST_SEGMENTS)

    def next_segment(at, step):
        marker = data[at + 1]
        no_marker = tf.not_equal(data[at], 0xFF) | tf.equal(marker, 0xFF)  # left-over bytes, or padding
        without_length = tf.equal(marker, 0) | tf.equal(marker, 1) | ((marker >= 0xD0) & (marker <= 0xD8))
        length = tf.maximum(256 * data[at + 2] + data[at + 3], 2)
        behind = at + tf.where(no_marker, 1, tf.where(without_length, 2, 2 + length))
        return tf.minimum(behind, size), step + 1

    at, _ = tf.while_loop(goes_on, next_segment, [2, 0])
    return tf.where(is_exif(at), orientation_at(at + 10, data, size), 1)
