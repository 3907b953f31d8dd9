"""Picture files decoded inside the graph, judged by their headers before memory is taken for their pixels."""

import tensorflow as tf

from ml_lstm.data.pictures import bmp, gif, jpeg, png
from ml_lstm.data.pictures.reading import MAX_PIXELS, has, require

__all__ = ["BEGINNINGS", "MAX_PIXELS", "announced_pixels", "decode", "require"]

BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8")
"""Of files that are read: JPEG, PNG, BMP, GIF, as TensorFlow's decoders tell them."""

_KINDS = (jpeg, png, bmp, gif)
_HEADER_SIZE = 50


def decode(contents: tf.Tensor, channels: int, where: list, side: int | None = None) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or GIF (its first frame), traceable into a graph.

    Training and exports both read files by this. A JPEG or PNG is turned as its EXIF data say; what is transparent in
    a PNG or GIF becomes white; 16 bits become 8.

    Args:
        contents: the file's bytes, a string scalar.
        channels: 1 for grey or 3 for RGB; other pictures are converted.
        where: strings and scalar tensors that name the picture in the words of a refusal.
        side: the most pixels that the picture will be shrunk to, either way. A JPEG that is far larger is decoded at
            half, a quarter or an eighth of its size, which takes a fraction of the time, but no smaller than twice
            `side`; what is shrunk from there is shrunk by this project's own rule. None: as it is.

    Returns:
        uint8 [height, width, channels].

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are no such picture, or it has no pixel or more
            than `MAX_PIXELS`.
    """
    header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_HEADER_SIZE)

    def refused():
        with tf.control_dependencies([require(False, *where, "is no JPEG, PNG, BMP or GIF image.")]):
            return tf.zeros([0, 0, channels], tf.uint8)

    def decoder(kind):
        return lambda: _with_channels(kind.decode(contents, header, where, side), channels)

    picture = tf.case([(is_kind, decoder(kind)) for kind, is_kind in _kinds(header).items()], default=refused)
    return tf.ensure_shape(picture, [None, None, channels])


def announced_pixels(contents: tf.Tensor) -> tf.Tensor:
    """How many pixels the header of a picture file announces, traceable into a graph.

    Args:
        contents: the file's bytes, a string scalar.

    Returns:
        int64 scalar; 0 for what is no picture that `decode` reads.

    Raises:
        tf.errors.InvalidArgumentError: when run, for a damaged JPEG.
    """
    header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_HEADER_SIZE)

    def pixels(kind):
        return lambda: tf.reduce_prod(kind.size(contents, header))

    kinds = [(is_kind, pixels(kind)) for kind, is_kind in _kinds(header).items()]
    return tf.case(kinds, default=lambda: tf.zeros([], tf.int64))


def _kinds(header):
    """Whether a file is of a kind, by the kind.

    As TensorFlow's own decoders tell it, so that theirs cannot be another one than was checked. A PNG's size is where
    it is looked for because its first chunk is the IHDR.
    """
    kinds = {kind: has(header, 0, beginning) for kind, beginning in zip(_KINDS, BEGINNINGS, strict=True)}
    return kinds | {png: kinds[png] & has(header, 12, b"IHDR")}


def _with_channels(picture, channels):
    """uint8 [H, W, 1, 3 or 4] as [H, W, channels]."""
    has = tf.shape(picture)[2]
    rgb = tf.cond(tf.equal(has, 1), lambda: tf.tile(picture[:, :, :1], [1, 1, 3]), lambda: picture[:, :, :3])
    rgb = tf.ensure_shape(rgb, [None, None, 3])
    if channels == 3:
        return rgb
    # Luma in whole numbers, so that grey stays what it is; in 16 bits, as above.
    red, green, blue = (tf.cast(rgb[..., part : part + 1], tf.uint16) for part in range(3))
    return tf.cast((77 * red + 150 * green + 29 * blue + 128) // 256, tf.uint8)
