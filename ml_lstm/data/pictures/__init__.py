"""Decodes image files inside the graph; checks their headers before it allocates memory for their pixels."""

import tensorflow as tf

from ml_lstm.data.pictures import bmp, gif, jpeg, png
from ml_lstm.data.pictures.reading import MAX_PIXELS, has, require

__all__ = ["BEGINNINGS", "MAX_PIXELS", "announced_pixels", "decode", "require"]

BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8")
"""First bytes of the supported formats, JPEG, PNG, BMP and GIF, as TensorFlow's decoders recognise them."""

_KINDS = (jpeg, png, bmp, gif)
_HEADER_SIZE = 50


def decode(contents: tf.Tensor, channels: int, where: list, side: int | None = None) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or GIF (its first frame), traceable into a graph.

    Training and exports both read files with this function. It rotates a JPEG or PNG as its EXIF data say, makes
    transparent pixels of a PNG or GIF white, and converts 16 bits to 8.

    Args:
        contents: the file's bytes, a string scalar.
        channels: 1 for grey or 3 for RGB; other images are converted.
        where: strings and scalar tensors that name the image in an error message.
        side: the larger side, in pixels, that the image will be resized to. A much larger JPEG is decoded at a half, a
            quarter or an eighth of its size, which takes a fraction of the time, but never smaller than twice `side`;
            this project's own rule does the rest of the resizing. None: decode at full size.

    Returns:
        uint8 [height, width, channels].

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are not such an image, or it has no pixels or more
            than `MAX_PIXELS`.
    """
    header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_HEADER_SIZE)

    def refused():
        with tf.control_dependencies([require(False, *where, "is not a JPEG, PNG, BMP or GIF image.")]):
            return tf.zeros([0, 0, channels], tf.uint8)

    def decoder(kind):
        return lambda: _with_channels(kind.decode(contents, header, where, side), channels)

    picture = tf.case([(is_kind, decoder(kind)) for kind, is_kind in _kinds(header).items()], default=refused)
    return tf.ensure_shape(picture, [None, None, channels])


def announced_pixels(contents: tf.Tensor) -> tf.Tensor:
    """The number of pixels that the header of an image file declares, traceable into a graph.

    Args:
        contents: the file's bytes, a string scalar.

    Returns:
        int64 scalar; 0 if `decode` does not support the file's format.

    Raises:
        tf.errors.InvalidArgumentError: when run, for a damaged JPEG.
    """
    header = tf.io.decode_raw(contents, tf.uint8, fixed_length=_HEADER_SIZE)

    def pixels(kind):
        return lambda: tf.reduce_prod(kind.size(contents, header))

    kinds = [(is_kind, pixels(kind)) for kind, is_kind in _kinds(header).items()]
    return tf.case(kinds, default=lambda: tf.zeros([], tf.int64))


def _kinds(header):
    """For each format, whether a file has it.

    The test is that of TensorFlow's decoders, so that they decode the same format that was checked. A PNG must begin
    with the chunk IHDR, because its size is read from there.
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
    # Luma in integers, so that grey does not change; in 16 bits, as in `on_white`.
    red, green, blue = (tf.cast(rgb[..., part : part + 1], tf.uint16) for part in range(3))
    return tf.cast((77 * red + 150 * green + 29 * blue + 128) // 256, tf.uint8)
