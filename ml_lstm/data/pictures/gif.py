"""Decodes the first frame of GIFs."""

from typing import NamedTuple

import tensorflow as tf

from ml_lstm.data.pictures.reading import MOST_SEGMENTS, byte_at, bytes_of, has, integer, require, size_checked

_HEADER_SIZE = 13
_EXTENSION, _CONTROL, _FRAME = 0x21, 0xF9, 0x2C

# A frame of one pixel with its own colour table, and the end of a file.
_END = b"\x2c\0\0\0\0\1\0\1\0\x80\0\0\0\0\0\0\2\2\x44\1\0\x3b"


def size(contents, _header):
    """`(height, width)`, int64, of the first frame, which may be anywhere in the file."""
    frame = _first_frame(contents)
    return frame.height, frame.width


def decode(contents, header, where, _side):
    """uint8 [H, W, 3]; see `pictures.decode`."""
    frame = _first_frame(contents)
    known = has(header, 0, b"GIF87a") | has(header, 0, b"GIF89a")
    undamaged = require(frame.whole & known, *where, "is a damaged GIF.")
    with tf.control_dependencies([undamaged]), size_checked(frame.height, frame.width, where):
        canvas_height, canvas_width = integer(header[8:10]), integer(header[6:8])
        fills = require(
            (frame.height >= canvas_height)
            & (frame.width >= canvas_width)
            & tf.equal(tf.strings.substr(contents, frame.begin + 1, 4), bytes(4)),
            *(*where, "is a GIF whose first frame does not fill it: save it as PNG."),
        )
    with tf.control_dependencies([fills]):
        frames = tf.io.decode_gif(_on_white(contents, frame))
    # For a damaged frame, TensorFlow returns the part that it can read and no other frame.
    with tf.control_dependencies([require(tf.equal(tf.shape(frames)[0], 2), *where, "is a damaged GIF.")]):
        return tf.identity(frames[0])


def _ends_of_chains(following):
    """The end of each chain of indices.

    Each pass doubles the distance followed, so the number of passes is the number of binary digits of the longest
    chain's length, not that length.

    Args:
        following: int32 [n], for each index the next one in its chain, which is not smaller; at an end, the index
            itself.

    Returns:
        int32 [n].
    """

    def goes_on(now, before):
        return tf.reduce_any(now != before)

    def twice_as_far(now, _):
        return tf.gather(now, now), now

    ends, _ = tf.while_loop(goes_on, twice_as_far, [tf.gather(following, following), following])
    return ends


class _Frame(NamedTuple):
    """The first frame of a GIF.

    Attributes:
        height: in pixels, int64.
        width: in pixels, int64.
        begin: position of its first byte.
        end: position after its last byte.
        transparent: index of its transparent colour, -1 for none.
        whole: whether the file contains such a frame completely.
    """

    height: tf.Tensor
    width: tf.Tensor
    begin: tf.Tensor
    end: tf.Tensor
    transparent: tf.Tensor
    whole: tf.Tensor


def _first_frame(contents):
    """Finds the first frame by walking a GIF's blocks: a frame may be larger than the canvas in the header."""
    data = bytes_of(contents)
    size = tf.strings.length(contents)
    places = tf.range(size + 1)

    # Each sub-block begins with its length; length 0 ends the list. A file may have a million blocks or sub-blocks.
    lengths = data[: size + 1]
    last = _ends_of_chains(tf.minimum(places + tf.where(lengths > 0, lengths + 1, 0), size))

    def behind_sub_blocks(position):
        """At most `size` + 1."""
        return tf.gather(last, tf.minimum(position, size)) + 1

    # Other readers interpret an extension without data differently, so it ends the walk.
    is_extension = tf.equal(lengths, _EXTENSION) & (data[2 : size + 3] > 0)
    behind = tf.where(is_extension, tf.minimum(behind_sub_blocks(places + 2), size), places)
    blocks = tf.minimum(_HEADER_SIZE + _table_size(data[10]), size)
    frame = tf.gather(_ends_of_chains(behind), blocks)

    def next_extension(at, step, transparent):
        says = tf.equal(data[at + 1], _CONTROL) & tf.equal(data[at + 3] % 2, 1)
        return tf.gather(behind, at), step + 1, tf.where(says, data[at + 6], transparent)

    *_, transparent = tf.while_loop(
        lambda at, step, _: (at < frame) & (step < MOST_SEGMENTS), next_extension, [blocks, 0, -1]
    )
    width, height = (data[frame + start] + 256 * data[frame + start + 1] for start in (5, 7))
    end = behind_sub_blocks(frame + 11 + _table_size(data[frame + 9]))
    whole = tf.equal(data[frame], _FRAME) & (end <= size)
    return _Frame(tf.cast(height, tf.int64), tf.cast(width, tf.int64), frame, end, transparent, whole)


def _table_size(flags):
    """The size of a colour table, in bytes."""
    return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)


def _on_white(contents, frame):
    """A GIF with this frame, whose transparent colour is now white, and then a frame of one pixel."""
    # Without the extensions, or the decoder makes transparent pixels black. Without the other frames, of which there
    # may be a thousand, or larger ones.
    begin = _HEADER_SIZE + _table_size(byte_at(contents, 10))
    parts = [tf.strings.substr(contents, 0, begin), tf.strings.substr(contents, frame.begin, frame.end - frame.begin)]
    file = tf.strings.join(parts)
    own = _table_size(byte_at(contents, frame.begin + 9))
    start, table = tf.where(own > 0, begin + 10, _HEADER_SIZE), tf.where(own > 0, own, begin - _HEADER_SIZE)
    place = start + 3 * frame.transparent

    def painted():
        before, behind = tf.strings.substr(file, 0, place), tf.strings.substr(file, place + 3, tf.strings.length(file))
        return tf.strings.join([before, b"\xff\xff\xff", behind])

    file = tf.cond((frame.transparent >= 0) & (3 * frame.transparent < table), painted, lambda: file)
    return tf.strings.join([file, _END])
