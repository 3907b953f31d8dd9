"""Picture files decoded inside the graph, judged by their headers before memory is taken for their pixels."""

from typing import NamedTuple

import tensorflow as tf

from ml_lstm.data.resizing import MAX_SIDE

MAX_PIXELS = 4096 * 4096
"""Of a picture: a file of a hundred bytes can announce gigabytes."""

BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8")
"""Of files that are read: JPEG, PNG, BMP, GIF, as TensorFlow's decoders tell them."""

_HEADER_SIZE = 50
_BMP_HEADER_SIZES = (40, 52, 56, 64, 108, 124)
_MOST_SEGMENTS = 64  # of a JPEG or a PNG that are looked at for what stands in front of the pixels
_GIF_HEADER_SIZE = 13
_GIF_EXTENSION, _GIF_CONTROL, _GIF_FRAME = 0x21, 0xF9, 0x2C

# A frame of one pixel with colours of its own, and the end of a file.
_GIF_END = b"\x2c\0\0\0\0\1\0\1\0\x80\0\0\0\0\0\0\2\2\x44\1\0\x3b"


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

    def jpeg():
        height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(contents, tf.int64))
        with _size_checked(height, width, where):
            picture = _jpeg_reduced(contents, tf.minimum(height, width), side)
            return _turned(_with_channels(picture, channels), _orientation(contents))

    def png():
        height, width = _png_size(header)
        with _size_checked(height, width, where):
            opacities, has_opacity, orientation = _before_pixels(contents, header[25])
            # Of a wrong one other readers make other things.
            right = require(opacities <= 1, *where, "is a damaged PNG.")
            with tf.control_dependencies([right]):
                picture = _png_pixels(contents, header[25], has_opacity, where)
            return _turned(_with_channels(picture, channels), orientation)

    def bmp():
        # A negative height means rows from top to bottom.
        width, height = (tf.cast(_bitcast(header[start : start + 4]), tf.int64) for start in (18, 22))
        begin, bits, size = _integer(header[10:14]), _integer(header[28:30]), _integer(header[14:18])
        row = (width * bits + 31) // 32 * 4
        last = begin + row * (tf.abs(height) - 1) + (width * bits + 7) // 8
        colours = _bmp_colours(header)
        plain = require(
            tf.equal(_integer(header[30:34]), 0) & tf.reduce_any(tf.equal(size, _BMP_HEADER_SIZES)),
            *(*where, "is a compressed BMP, one with masks, or an old one: save it as PNG."),
        )
        known = require(
            tf.reduce_any(tf.equal(bits, [1, 4, 8, 24, 32])),
            *(*where, "is a BMP of", bits, "bits a pixel: save it as PNG."),
        )
        with tf.control_dependencies([plain, known]), _size_checked(tf.abs(height), tf.maximum(width, 0), where):
            whole = require(
                (begin >= 14 + size + 4 * colours)
                & ((bits > 8) | (colours <= tf.bitwise.left_shift(tf.ones([], tf.int64), bits)))
                & (last <= tf.cast(tf.strings.length(contents), tf.int64)),
                *(*where, "is a damaged BMP."),
            )
        with tf.control_dependencies([whole]):
            return _with_channels(_bmp_pixels(contents, header, tf.cast(row, tf.int32), where), channels)

    def gif():
        frame = _first_gif_frame(contents)
        known = _has(header, 0, b"GIF87a") | _has(header, 0, b"GIF89a")
        undamaged = require(frame.whole & known, *where, "is a damaged GIF.")
        with tf.control_dependencies([undamaged]), _size_checked(frame.height, frame.width, where):
            canvas_height, canvas_width = _integer(header[8:10]), _integer(header[6:8])
            fills = require(
                (frame.height >= canvas_height)
                & (frame.width >= canvas_width)
                & tf.equal(tf.strings.substr(contents, frame.begin + 1, 4), bytes(4)),
                *(*where, "is a GIF whose first frame does not fill it: save it as PNG."),
            )
        with tf.control_dependencies([fills]):
            frames = tf.io.decode_gif(_gif_on_white(contents, frame))
        # Of a frame that is damaged TensorFlow returns what there is, and no other.
        with tf.control_dependencies([require(tf.equal(tf.shape(frames)[0], 2), *where, "is a damaged GIF.")]):
            return _with_channels(frames[0], channels)

    def refused():
        with tf.control_dependencies([require(False, *where, "is no JPEG, PNG, BMP or GIF image.")]):
            return tf.zeros([0, 0, channels], tf.uint8)

    decoders = {"jpeg": jpeg, "png": png, "bmp": bmp, "gif": gif}
    kinds = [(is_kind, decoders[kind]) for kind, is_kind in _kinds(header).items()]
    picture = tf.case(kinds, default=refused)
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
    # Of a GIF's first frame: looked for in all of the file.
    sizes = {
        "jpeg": lambda: tf.unstack(tf.image.extract_jpeg_shape(contents, tf.int64))[:2],
        "png": lambda: _png_size(header),
        "bmp": lambda: _bmp_size(header),
        "gif": lambda: _first_gif_frame(contents)[:2],
    }
    kinds = [(is_kind, lambda size=sizes[kind]: tf.reduce_prod(size())) for kind, is_kind in _kinds(header).items()]
    return tf.case(kinds, default=lambda: tf.zeros([], tf.int64))


def require(condition: tf.Tensor | bool, *words: str | tf.Tensor) -> tf.Operation:
    """An operation that fails with `INVALID_ARGUMENT` and `words` unless the scalar `condition` holds."""
    if tf.executing_eagerly():  # where TensorFlow's own words are others
        if condition:
            return tf.no_op()
        told = [word if isinstance(word, str) else str(word.numpy()) for word in words]
        raise tf.errors.InvalidArgumentError(None, None, " ".join(told))
    return tf.debugging.Assert(condition, list(words), summarize=1)


def _kinds(header):
    """Whether a file is of a type, by the type's name.

    As TensorFlow's own decoders tell it, so that theirs cannot be another one than was checked. A PNG's size is where
    it is looked for because its first chunk is the IHDR.
    """
    kinds = {
        kind: _has(header, 0, beginning)
        for kind, beginning in zip(("jpeg", "png", "bmp", "gif"), BEGINNINGS, strict=True)
    }
    return kinds | {"png": kinds["png"] & _has(header, 12, b"IHDR")}


def _png_size(header):
    """`(height, width)`, int64."""
    return _integer(header[20:24][::-1]), _integer(header[16:20][::-1])


def _bmp_size(header):
    # A negative height means rows from top to bottom.
    return tuple(tf.abs(tf.cast(_bitcast(header[start : start + 4]), tf.int64)) for start in (22, 18))


def _has(header, start, magic):
    return tf.reduce_all(tf.equal(header[start : start + len(magic)], list(magic)))


def _integer(little_endian):
    """uint8 [n] as an int64 scalar."""
    digits = tf.cast(little_endian, tf.int64)
    return tf.reduce_sum(tf.bitwise.left_shift(digits, tf.range(0, 8 * digits.shape[0], 8, tf.int64)))


def _bitcast(little_endian):
    return tf.bitcast(little_endian, tf.int32)


def _size_checked(height, width, where):
    """Within it, a picture of `height` and `width`, int64 scalars in [0, 2**32), is not too large."""
    not_empty = require((height > 0) & (width > 0), *where, "has no pixel.")
    with tf.control_dependencies([not_empty]):
        small = height <= MAX_PIXELS // tf.maximum(width, 1)
    words = f"pixels (height x width); an image may have at most {MAX_PIXELS} pixels: shrink it."
    few = require(small, *where, "has", height, "x", width, words)
    with tf.control_dependencies([few]):
        short = tf.maximum(height, width) <= MAX_SIDE
    words = f"is higher or wider than {MAX_SIDE} pixels: cut or shrink it."
    return tf.control_dependencies([require(short, *where, words)])


def _jpeg_reduced(contents, shorter, side):
    """RGB pixels of a JPEG whose shorter edge has `shorter` pixels, an int64 scalar; see `decode` for `side`."""

    def reduced(ratio):
        # By way of RGB: the decoder makes no grey of CMYK. Accurate as other readers are; the default is not.
        return lambda: tf.io.decode_jpeg(contents, 3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    if side is None:
        return reduced(1)()
    halvings = tf.reduce_sum(tf.cast(shorter >= tf.constant([4, 8, 16], tf.int64) * side, tf.int32))
    return tf.switch_case(halvings, [reduced(2**times) for times in range(4)])


def _on_white(picture):
    """uint8 [H, W, 4], the last of them opacity, as RGB where nothing shows through."""
    # In 16 bits, which the sum just fits in: a picture may be large.
    colour, opacity = tf.cast(picture[..., :3], tf.uint16), tf.cast(picture[..., 3:], tf.uint16)
    return tf.cast((colour * opacity + 255 * (255 - opacity) + 127) // 255, tf.uint8)


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


def _bmp_colours(header):
    """How many colours the table of a BMP has, int64; none where pixels are no indices into it."""
    bits, colours = _integer(header[28:30]), _integer(header[46:50])
    all_there_can_be = tf.bitwise.left_shift(tf.ones([], tf.int64), tf.minimum(bits, 8))
    return tf.where(bits <= 8, tf.where(colours > 0, colours, all_there_can_be), 0)


def _bmp_pixels(contents, header, row, where):
    """The colours [H, W, 3] of a BMP with `row` bytes a row: by TensorFlow's decoder 8 bits are shades of grey, fewer
    are none, and nothing may stand behind the pixels."""
    begin, width, height = (_bitcast(header[start : start + 4]) for start in (10, 18, 22))
    bits = tf.cast(_integer(header[28:30]), tf.int32)
    data = tf.io.decode_raw(tf.strings.join([contents, bytes(4)]), tf.uint8)  # the last row may end early
    rows = tf.reshape(data[begin : begin + row * tf.abs(height)], tf.stack([tf.abs(height), row]))
    rows = tf.cond(height > 0, lambda: rows[::-1], lambda: rows)

    def painted():
        packed, wide = tf.cast(rows[..., None], tf.int32), tf.cast(bits, tf.int32)
        indices = tf.bitwise.bitwise_and(tf.bitwise.right_shift(packed, tf.range(8 - wide, -1, -wide)), 2**wide - 1)
        indices = tf.reshape(indices, tf.stack([tf.abs(height), -1]))[:, :width]
        start, colours = 14 + _bitcast(header[14:18]), tf.cast(_bmp_colours(header), tf.int32)
        known = require(tf.reduce_max(indices) < colours, *where, "is a damaged BMP.")
        with tf.control_dependencies([known]):
            return tf.gather(tf.reshape(data[start : start + 4 * colours], [-1, 4]), indices)

    def plain():
        return tf.reshape(rows[:, : width * (bits // 8)], tf.stack([tf.abs(height), width, bits // 8]))

    # Blue, green, red and nothing.
    return tf.cond(bits <= 8, painted, plain)[..., 2::-1]


def _png_pixels(contents, colour_type, has_opacity, where):
    """uint8 [H, W, 1 or 3] of a PNG, on white; `has_opacity` by its chunks, which the decoder may not believe."""

    def with_palette():
        # With opacity if there is some: asked for, it would be 2^bits - 1 where there is none.
        picture = tf.io.decode_png(contents, 0)
        has_some = tf.equal(tf.shape(picture)[2], 4)
        with tf.control_dependencies([require(tf.equal(has_some, has_opacity), *where, "is a damaged PNG.")]):
            return tf.cond(has_some, lambda: _on_white(picture), lambda: picture[..., :3])

    def grey_with_one_transparent_shade():
        # Likewise; but where there is one, the others have an opacity of 255.
        picture = tf.io.decode_png(contents, 4)
        return _on_white(tf.concat([picture[..., :3], 255 * tf.cast(picture[..., 3:] > 0, tf.uint8)], axis=-1))

    return tf.case(
        [
            (tf.equal(colour_type, 3), with_palette),
            (tf.equal(colour_type, 0) & has_opacity, grey_with_one_transparent_shade),
            (has_opacity, lambda: _on_white(tf.io.decode_png(contents, 4))),
        ],
        default=lambda: tf.io.decode_png(contents, 3),
    )


def _before_pixels(contents, colour_type):
    """How many chunks tRNS a PNG has, two for one of a wrong length; whether it has an opacity, by one or as a channel;
    and how it is to be turned, by a chunk eXIf."""
    data = _bytes(contents)
    size = tf.strings.length(contents)

    def begins(at, name):
        return tf.reduce_all(tf.equal(data[at + 4 : at + 8], list(name)))

    def goes_on(at, step, *_):
        return ~begins(at, b"IDAT") & (at + 12 <= size) & (step < _MOST_SEGMENTS)

    length_of_a_colour = tf.where(tf.equal(colour_type, 0), 2, 6)

    def next_chunk(at, step, opacities, exif):
        length = _integer(tf.gather(data, at + tf.range(3, -1, -1)))
        behind = tf.minimum(tf.cast(at, tf.int64) + 12 + length, tf.cast(size, tf.int64))
        exif = tf.where(begins(at, b"eXIf"), at + 8, exif)
        is_right = tf.equal(colour_type, 3) | tf.equal(length, tf.cast(length_of_a_colour, tf.int64))
        more = tf.where(begins(at, b"tRNS") & (colour_type < 4), tf.where(is_right, 1, 2), 0)
        return tf.cast(behind, tf.int32), step + 1, opacities + more, exif

    _, _, opacities, exif = tf.while_loop(goes_on, next_chunk, [8, 0, 0, 0])
    has_opacity = (opacities > 0) | tf.equal(colour_type & 4, 4)
    return opacities, has_opacity, tf.where(exif > 0, _orientation_at(exif, data, size), 1)


def _orientation(contents):
    """How a JPEG is to be turned, 1 to 8 as in EXIF's tag 0x0112; 1, not at all, where that is not said."""
    data = _bytes(contents)
    size = tf.strings.length(contents)

    def is_exif(at):
        marker = tf.equal(data[at], 0xFF) & tf.equal(data[at + 1], 0xE1)
        return marker & tf.reduce_all(tf.equal(data[at + 4 : at + 10], list(b"Exif\0\0")))

    def goes_on(at, step):
        # 0xDA is where the pixels begin, 0xD9 the end.
        is_end = tf.equal(data[at], 0xFF) & tf.reduce_any(tf.equal(data[at + 1], [0xDA, 0xD9]))
        return ~is_end & ~is_exif(at) & (at + 4 <= size) & (step < _MOST_SEGMENTS)

    def next_segment(at, step):
        marker = data[at + 1]
        no_marker = tf.not_equal(data[at], 0xFF) | tf.equal(marker, 0xFF)  # left over, or filled in
        without_length = tf.equal(marker, 0) | tf.equal(marker, 1) | ((marker >= 0xD0) & (marker <= 0xD8))
        length = tf.maximum(256 * data[at + 2] + data[at + 3], 2)
        behind = at + tf.where(no_marker, 1, tf.where(without_length, 2, 2 + length))
        return tf.minimum(behind, size), step + 1

    at, _ = tf.while_loop(goes_on, next_segment, [2, 0])
    return tf.where(is_exif(at), _orientation_at(at + 10, data, size), 1)


def _orientation_at(start, data, size):
    """The orientation that EXIF data at an index say, 1 to 8; 1 where they do not, or are damaged."""
    little_endian = tf.equal(data[start], ord("I"))

    def integer(positions, width):
        positions, places = tf.clip_by_value(positions, 0, size), tf.range(width)
        digits = tf.gather(data, positions[..., None] + tf.where(little_endian, places, places[::-1]))
        return tf.reduce_sum(tf.bitwise.left_shift(digits, 8 * places), axis=-1)

    directory = start + tf.clip_by_value(integer(start + 4, 4), 0, size)
    entries = directory + 2 + 12 * tf.range(tf.clip_by_value(integer(directory, 2), 0, _MOST_SEGMENTS))
    kinds = integer(entries + 2, 2)
    is_number = tf.reduce_any(tf.equal(kinds[:, None], [1, 3, 4]), axis=1) & tf.equal(integer(entries + 4, 4), 1)
    one, two, four = (integer(entries + 8, width) for width in (1, 2, 4))
    numbers = tf.where(tf.equal(kinds, 1), one, tf.where(tf.equal(kinds, 3), two, four))
    found = tf.boolean_mask(numbers, tf.equal(integer(entries, 2), 0x0112) & is_number)
    value = tf.concat([[1], found], axis=0)[-1]
    is_tiff = tf.equal(data[start], data[start + 1]) & tf.reduce_any(tf.equal(data[start], [ord("I"), ord("M")]))
    is_tiff &= tf.equal(data[start + 2] + data[start + 3], 42) & tf.equal(data[start + 2] * data[start + 3], 0)
    return tf.where(is_tiff & (value >= 1) & (value <= 8), value, 1)


def _turned(picture, orientation):
    """[H, W, C] as EXIF's `orientation` says it is to be seen."""

    def among(*values):
        return tf.reduce_any(tf.equal(orientation, values))

    for needed, turn in (
        (among(5, 6, 7, 8), lambda image: tf.transpose(image, [1, 0, 2])),
        (among(3, 4, 7, 8), lambda image: tf.reverse(image, [0])),
        (among(2, 3, 6, 7), lambda image: tf.reverse(image, [1])),
    ):
        picture = tf.cond(needed, lambda turn=turn, image=picture: turn(image), lambda image=picture: image)
    return picture


def _bytes(contents):
    """The bytes of a file as int32, and a few zeros behind, to be read without a look at where it ends."""
    return tf.cast(tf.io.decode_raw(tf.strings.join([contents, bytes(32)]), tf.uint8), tf.int32)


def _ends_of_chains(following):
    """Where each chain of indices ends.

    By as many looks at all of them as the length of the longest has digits, rather than one look for each of its links.

    Args:
        following: int32 [n], for each index the one that follows it, no smaller; itself at an end.

    Returns:
        int32 [n].
    """

    def goes_on(now, before):
        return tf.reduce_any(now != before)

    def twice_as_far(now, _):
        return tf.gather(now, now), now

    ends, _ = tf.while_loop(goes_on, twice_as_far, [tf.gather(following, following), following])
    return ends


class _GifFrame(NamedTuple):
    """The first frame of a GIF: its int64 pixels, where its first byte is and that behind its last one, the index of
    its transparent colour, -1 for none, and whether there is such a frame, all of it."""

    height: tf.Tensor
    width: tf.Tensor
    begin: tf.Tensor
    end: tf.Tensor
    transparent: tf.Tensor
    whole: tf.Tensor


def _first_gif_frame(contents):
    """Walks a GIF's blocks: a frame may be larger than the canvas that the header announces."""
    data = _bytes(contents)
    size = tf.strings.length(contents)
    places = tf.range(size + 1)

    # Each sub-block begins with its length, and one of length 0 ends them. A file may have a million of either kind.
    lengths = data[: size + 1]
    last = _ends_of_chains(tf.minimum(places + tf.where(lengths > 0, lengths + 1, 0), size))

    def behind_sub_blocks(position):
        """At most `size` + 1."""
        return tf.gather(last, tf.minimum(position, size)) + 1

    # An extension without data would be read otherwise by other readers.
    is_extension = tf.equal(lengths, _GIF_EXTENSION) & (data[2 : size + 3] > 0)
    behind = tf.where(is_extension, tf.minimum(behind_sub_blocks(places + 2), size), places)
    blocks = tf.minimum(_GIF_HEADER_SIZE + _gif_table_size(data[10]), size)
    frame = tf.gather(_ends_of_chains(behind), blocks)

    def next_extension(at, step, transparent):
        says = tf.equal(data[at + 1], _GIF_CONTROL) & tf.equal(data[at + 3] % 2, 1)
        return tf.gather(behind, at), step + 1, tf.where(says, data[at + 6], transparent)

    *_, transparent = tf.while_loop(
        lambda at, step, _: (at < frame) & (step < _MOST_SEGMENTS), next_extension, [blocks, 0, -1]
    )
    width, height = (data[frame + start] + 256 * data[frame + start + 1] for start in (5, 7))
    end = behind_sub_blocks(frame + 11 + _gif_table_size(data[frame + 9]))
    whole = tf.equal(data[frame], _GIF_FRAME) & (end <= size)
    return _GifFrame(tf.cast(height, tf.int64), tf.cast(width, tf.int64), frame, end, transparent, whole)


def _gif_table_size(flags):
    """Bytes of a table of colours."""
    return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)


def _gif_on_white(contents, frame):
    """A GIF of one frame, with white for its transparent colour, and of a frame of one pixel."""
    # Without the extensions, or the decoder makes it black; without other frames, which may be larger, or a thousand.
    begin = _GIF_HEADER_SIZE + _gif_table_size(_byte(contents, 10))
    parts = [tf.strings.substr(contents, 0, begin), tf.strings.substr(contents, frame.begin, frame.end - frame.begin)]
    file = tf.strings.join(parts)
    own = _gif_table_size(_byte(contents, frame.begin + 9))
    start, table = tf.where(own > 0, begin + 10, _GIF_HEADER_SIZE), tf.where(own > 0, own, begin - _GIF_HEADER_SIZE)
    place = start + 3 * frame.transparent

    def painted():
        before, behind = tf.strings.substr(file, 0, place), tf.strings.substr(file, place + 3, tf.strings.length(file))
        return tf.strings.join([before, b"\xff\xff\xff", behind])

    file = tf.cond((frame.transparent >= 0) & (3 * frame.transparent < table), painted, lambda: file)
    return tf.strings.join([file, _GIF_END])


def _byte(contents, at):
    """One byte of a file, int32."""
    return tf.cast(tf.io.decode_raw(tf.strings.substr(contents, at, 1), tf.uint8)[0], tf.int32)
