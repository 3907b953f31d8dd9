"""Shared by the decoders: integers from a file's bytes, and error messages, inside the graph."""

import tensorflow as tf

from ml_lstm.data.resizing import MAX_SIDE

MAX_PIXELS = 4096 * 4096
"""Limit for an image: the header of a file of a hundred bytes can declare gigabytes."""

MOST_SEGMENTS = 64
"""The number of a file's segments that are searched before the pixels."""


def require(condition: tf.Tensor | bool, *words: str | tf.Tensor) -> tf.Operation:
    """An operation that fails with `INVALID_ARGUMENT` and `words` unless the scalar `condition` holds."""
    if tf.executing_eagerly():  # TensorFlow's own message would be different there
        if condition:
            return tf.no_op()
        raise tf.errors.InvalidArgumentError(None, None, " ".join(map(_told, words)))
    return tf.debugging.Assert(condition, list(words), summarize=1)


def _told(word):
    """A string, or the value of a scalar tensor, as text."""
    value = word.numpy() if isinstance(word, tf.Tensor) else word
    return value.decode() if isinstance(value, bytes) else str(value)


def size_checked(height, width, where):
    """A context in which `height` and `width`, int64 scalars in [0, 2**32), are checked not to be too large."""
    not_empty = require((height > 0) & (width > 0), *where, "has no pixels.")
    with tf.control_dependencies([not_empty]):
        small = height <= MAX_PIXELS // tf.maximum(width, 1)
    words = f"pixels (height x width); an image may have at most {MAX_PIXELS} pixels: shrink it."
    few = require(small, *where, "has", height, "x", width, words)
    with tf.control_dependencies([few]):
        short = tf.maximum(height, width) <= MAX_SIDE
    words = f"is higher or wider than {MAX_SIDE} pixels: crop or shrink it."
    return tf.control_dependencies([require(short, *where, words)])


def has(header, start, magic):
    return tf.reduce_all(tf.equal(header[start : start + len(magic)], list(magic)))


def integer(little_endian):
    """uint8 [n] as an int64 scalar."""
    digits = tf.cast(little_endian, tf.int64)
    return tf.reduce_sum(tf.bitwise.left_shift(digits, tf.range(0, 8 * digits.shape[0], 8, tf.int64)))


def int32_of(little_endian):
    return tf.bitcast(little_endian, tf.int32)


def bytes_of(contents):
    """The bytes of a file as int32, with a few zeros appended, so that reads need not check for the end."""
    return tf.cast(tf.io.decode_raw(tf.strings.join([contents, bytes(32)]), tf.uint8), tf.int32)


def byte_at(contents, at):
    """One byte of a file, int32."""
    return tf.cast(tf.io.decode_raw(tf.strings.substr(contents, at, 1), tf.uint8)[0], tf.int32)


def on_white(picture):
    """Blends uint8 [H, W, 4], whose last channel is opacity, onto white: RGB."""
    # In 16 bits, in which the sum just fits, because an image may be large.
    colour, opacity = tf.cast(picture[..., :3], tf.uint16), tf.cast(picture[..., 3:], tf.uint16)
    return tf.cast((colour * opacity + 255 * (255 - opacity) + 127) // 255, tf.uint8)
