"""Decodes BMPs without compression."""

import tensorflow as tf

from ml_lstm.data.pictures.reading import int32_of, integer, require, size_checked

_HEADER_SIZES = (40, 52, 56, 64, 108, 124)


def size(_contents, header):
    """`(height, width)`, int64."""
    # A negative height means rows from top to bottom.
    return tuple(tf.abs(tf.cast(int32_of(header[start : start + 4]), tf.int64)) for start in (22, 18))


def decode(contents, header, where, _side):
    """uint8 [H, W, 3]; see `pictures.decode`."""
    # A negative height means rows from top to bottom.
    width, height = (tf.cast(int32_of(header[start : start + 4]), tf.int64) for start in (18, 22))
    begin, bits, size = integer(header[10:14]), integer(header[28:30]), integer(header[14:18])
    row = (width * bits + 31) // 32 * 4
    last = begin + row * (tf.abs(height) - 1) + (width * bits + 7) // 8
    colours = _colours(header)
    plain = require(
        tf.equal(integer(header[30:34]), 0) & tf.reduce_any(tf.equal(size, _HEADER_SIZES)),
        *(*where, "is a compressed BMP, one with masks, or an old one: save it as PNG."),
    )
    known = require(
        tf.reduce_any(tf.equal(bits, [1, 4, 8, 24, 32])),
        *(*where, "is a BMP of", bits, "bits a pixel: save it as PNG."),
    )
    with tf.control_dependencies([plain, known]), size_checked(tf.abs(height), tf.maximum(width, 0), where):
        whole = require(
            (begin >= 14 + size + 4 * colours)
            & ((bits > 8) | (colours <= tf.bitwise.left_shift(tf.ones([], tf.int64), bits)))
            & (last <= tf.cast(tf.strings.length(contents), tf.int64)),
            *(*where, "is a damaged BMP."),
        )
    with tf.control_dependencies([whole]):
        return _pixels(contents, header, tf.cast(row, tf.int32), where)


def _colours(header):
    """The number of colours in the table of a BMP, int64; 0 if pixels are not indices into a table."""
    bits, colours = integer(header[28:30]), integer(header[46:50])
    all_there_can_be = tf.bitwise.left_shift(tf.ones([], tf.int64), tf.minimum(bits, 8))
    return tf.where(bits <= 8, tf.where(colours > 0, colours, all_there_can_be), 0)


def _pixels(contents, header, row, where):
    """The colours [H, W, 3] of a BMP with `row` bytes per row.

    TensorFlow's decoder would read 8 bits as grey levels, does not read fewer bits, and allows nothing after the
    pixels.
    """
    begin, width, height = (int32_of(header[start : start + 4]) for start in (10, 18, 22))
    bits = tf.cast(integer(header[28:30]), tf.int32)
    data = tf.io.decode_raw(tf.strings.join([contents, bytes(4)]), tf.uint8)  # the last row may end early
    rows = tf.reshape(data[begin : begin + row * tf.abs(height)], tf.stack([tf.abs(height), row]))
    rows = tf.cond(height > 0, lambda: rows[::-1], lambda: rows)

    def painted():
        packed, wide = tf.cast(rows[..., None], tf.int32), tf.cast(bits, tf.int32)
        indices = tf.bitwise.bitwise_and(tf.bitwise.right_shift(packed, tf.range(8 - wide, -1, -wide)), 2**wide - 1)
        indices = tf.reshape(indices, tf.stack([tf.abs(height), -1]))[:, :width]
        start, colours = 14 + int32_of(header[14:18]), tf.cast(_colours(header), tf.int32)
        known = require(tf.reduce_max(indices) < colours, *where, "is a damaged BMP.")
        with tf.control_dependencies([known]):
            return tf.gather(tf.reshape(data[start : start + 4 * colours], [-1, 4]), indices)

    def plain():
        return tf.reshape(rows[:, : width * (bits // 8)], tf.stack([tf.abs(height), width, bits // 8]))

    # Blue, green, red and nothing.
    return tf.cond(bits <= 8, painted, plain)[..., 2::-1]
