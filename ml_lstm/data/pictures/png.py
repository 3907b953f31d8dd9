"""Decodes PNGs of all kinds, on white and rotated as their EXIF data say."""

import tensorflow as tf

from ml_lstm.data.pictures.exif import orientation_at, turned
from ml_lstm.data.pictures.reading import MOST_SEGMENTS, bytes_of, integer, on_white, require, size_checked


def size(_contents, header):
    """`(height, width)`, int64."""
    return integer(header[20:24][::-1]), integer(header[16:20][::-1])


def decode(contents, header, where, _side):
    """uint8 [H, W, 1 or 3]; see `pictures.decode`."""
    with size_checked(*size(contents, header), where):
        opacities, has_opacity, orientation = _before_pixels(contents, header[25])
        # Readers interpret a wrong chunk tRNS differently.
        right = require(opacities <= 1, *where, "is a damaged PNG.")
        with tf.control_dependencies([right]):
            return turned(_pixels(contents, header[25], has_opacity, where), orientation)


def _before_pixels(contents, colour_type):
    """Reads the chunks before the pixels of a PNG.

    Returns:
        The number of chunks tRNS, where one of a wrong length counts as two; whether the image has an opacity, by such
        a chunk or as a channel; and its orientation, from a chunk eXIf.
    """
    data = bytes_of(contents)
    size = tf.strings.length(contents)

    def begins(at, name):
        return tf.reduce_all(tf.equal(data[at + 4 : at + 8], list(name)))

    def goes_on(at, step, *_):
        return ~begins(at, b"IDAT") & (at + 12 <= size) & (step < MOST_SEGMENTS)

    length_of_a_colour = tf.where(tf.equal(colour_type, 0), 2, 6)

    def next_chunk(at, step, opacities, exif):
        length = integer(tf.gather(data, at + tf.range(3, -1, -1)))
        behind = tf.minimum(tf.cast(at, tf.int64) + 12 + length, tf.cast(size, tf.int64))
        exif = tf.where(begins(at, b"eXIf"), at + 8, exif)
        is_right = tf.equal(colour_type, 3) | tf.equal(length, tf.cast(length_of_a_colour, tf.int64))
        more = tf.where(begins(at, b"tRNS") & (colour_type < 4), tf.where(is_right, 1, 2), 0)
        return tf.cast(behind, tf.int32), step + 1, opacities + more, exif

    _, _, opacities, exif = tf.while_loop(goes_on, next_chunk, [8, 0, 0, 0])
    has_opacity = (opacities > 0) | tf.equal(colour_type & 4, 4)
    return opacities, has_opacity, tf.where(exif > 0, orientation_at(exif, data, size), 1)


def _pixels(contents, colour_type, has_opacity, where):
    """uint8 [H, W, 1 or 3] of a PNG, on white; `has_opacity` is from its chunks, and the decoder may differ."""

    def with_palette():
        # 0 lets the decoder choose the channels. If asked for 4, it would set the opacity of a PNG without one to
        # 2^bits - 1.
        picture = tf.io.decode_png(contents, 0)
        has_some = tf.equal(tf.shape(picture)[2], 4)
        with tf.control_dependencies([require(tf.equal(has_some, has_opacity), *where, "is a damaged PNG.")]):
            return tf.cond(has_some, lambda: on_white(picture), lambda: picture[..., :3])

    def grey_with_one_transparent_shade():
        # 4 channels give the other grey levels an opacity that depends on the bits, so any opacity above 0 is full.
        picture = tf.io.decode_png(contents, 4)
        return on_white(tf.concat([picture[..., :3], 255 * tf.cast(picture[..., 3:] > 0, tf.uint8)], axis=-1))

    return tf.case(
        [
            (tf.equal(colour_type, 3), with_palette),
            (tf.equal(colour_type, 0) & has_opacity, grey_with_one_transparent_shade),
            (has_opacity, lambda: on_white(tf.io.decode_png(contents, 4))),
        ],
        default=lambda: tf.io.decode_png(contents, 3),
    )
