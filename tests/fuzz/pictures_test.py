"""Any picture file, whole or damaged, is the same picture to training, to an export and to Pillow, or refused."""

import contextlib
import io
import math
import re
import warnings
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin

from ml_lstm.data import pictures
from ml_lstm.data.sources import folder
from ml_lstm.episode import Problem
from ml_lstm.methods import PixelNearestNeighbour
from ml_lstm.serving import export_version
from tests.fuzz import picture_files
from tests.fuzz.picture_files import png_chunks, png_of, written
from tests.serving.parity_test import png_file

SIDE = 20
REFUSED = tf.errors.InvalidArgumentError

PLUGINS = {
    b"\xff\xd8": JpegImagePlugin.JpegImageFile,
    b"\x89P": PngImagePlugin.PngImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
    b"GI": GifImagePlugin.GifImageFile,
}

# Pillow refuses files for what stands beside the pixels: a sum of a chunk that is not needed, or EXIF data.
BESIDE_THE_PIXELS = re.compile(
    r"bad header checksum in b'[a-z]|not a TIFF file|[Tt]runcated (cHRM|gAMA|pHYs|sRGB|iCCP|tRNS|acTL|fcTL|fdAT) chunk"
)

# A marker that stands alone, of JPEG's standard (ITU-T T.81, table B.1); other readers pass over it, as they are to.
TEMPORARY = {0xFF01: ("TEM", "For temporary private use", None)}

# GIFLIB takes a code that is not defined yet for the next one that will be. As most changes of a GIF's codes make other
# codes that are defined, so that no reader can tell them, neither those files nor these are refused.
UNDEFINED_CODE = "broken data stream"


@pytest.fixture(scope="module")
def decode():
    """In an export's form: traced, in colour."""
    spec = tf.TensorSpec([], tf.string)
    return tf.function(lambda file: pictures.decode(file, 3, ["the file"]), autograph=False).get_concrete_function(spec)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A file as the pixels that reach a method in an export."""
    method = PixelNearestNeighbour(Problem((SIDE, SIDE, 3), 10))
    directory = export_version(method, (SIDE, SIDE, 3), str(tmp_path_factory.mktemp("export") / "m"), "{}")
    model = tf.saved_model.load(str(directory))
    return lambda file: (
        255
        * model.signatures["adapt_encoded"](support_images=file[None], support_labels=tf.constant(["a"]))["pixels"][0]
        .numpy()
        .reshape(SIDE, SIDE, 3)
    )


def trained_on(file):
    return folder._reader(SIDE)(file).numpy()


def or_refused(reader, contents):
    """What a reader of ours makes of a file, or None; it may fail in no other way."""
    try:
        return np.asarray(reader(tf.constant(contents))).astype(np.float32)
    except REFUSED:
        return None


def as_pillow_reads(contents):
    """RGB, turned, on white; or, in a string, why Pillow does not read it."""
    with warnings.catch_warnings(), mock.patch.dict(JpegImagePlugin.MARKER, TEMPORARY):
        warnings.simplefilter("ignore")
        try:
            picture = PLUGINS[contents[:2]](io.BytesIO(contents))
            if math.prod(picture.size) > pictures.MAX_PIXELS:  # it would take gigabytes for them
                return "too large"
            before_pixels = dict(picture.info)
            picture.load()
        except Exception as error:  # it reports damage by nearly any type
            return f"{type(error).__name__}: {error}"
        if picture.format == "PNG":
            # A chunk tRNS or eXIf belongs in front of the pixels: PNG's third edition, 5.6. Browsers ignore one behind.
            picture.info = before_pixels
        with contextlib.suppress(Exception):  # as above: then nothing says how it is to be turned
            picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):
            picture = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
        if picture.has_transparency_data:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
        return np.asarray(picture.convert("RGB")).astype(np.float32)


def pillow_is_no_judge(contents):
    """Where Pillow does not read a format as it is meant, or as others do."""
    if contents.startswith(b"\x89P"):
        chunks = dict(reversed(png_chunks(contents)))
        depth, colour_type = chunks.get(b"IHDR", b"").ljust(10, b"\0")[8:10]
        # It compares colours of 8 bits with a transparent one of other bits.
        return b"tRNS" in chunks and colour_type != 3 and depth in (2, 4, 16)
    # By its lights all CMYK is Adobe's, which has a marker of its own and is inverted.
    if not contents.startswith(b"\xff\xd8"):
        return False
    try:
        picture = JpegImagePlugin.JpegImageFile(io.BytesIO(contents))
    except Exception:  # as above
        return False
    return picture.mode == "CMYK" and "adobe" not in picture.info


@pytest.fixture
def check(decode, served):
    def check(contents, whole=False):
        ours = or_refused(decode, contents)
        training, serving = or_refused(trained_on, contents), or_refused(served, contents)
        assert (training is None) == (serving is None) == (ours is None)
        if training is not None:
            np.testing.assert_allclose(serving, training, atol=1.001)
        pillows = as_pillow_reads(contents)
        if isinstance(pillows, str):
            allowed = BESIDE_THE_PIXELS.search(pillows) or (contents.startswith(b"GI") and UNDEFINED_CODE in pillows)
            assert ours is None or allowed, f"only Pillow refuses it: {pillows}"
        elif ours is not None and not pillow_is_no_judge(contents):
            np.testing.assert_allclose(ours, pillows, atol=1.001)
        # What is damaged may be refused for less than Pillow needs to.
        assert ours is not None or not whole

    return check


@pytest.mark.parametrize("kind", picture_files.whole)
def test_a_whole_file_is_one_picture_to_all(kind, try_examples, check):
    try_examples(picture_files.whole[kind], lambda contents: check(contents, whole=True))


@pytest.mark.parametrize("kind", picture_files.whole)
def test_a_damaged_file_is_one_picture_to_all_or_refused(kind, try_examples, check):
    try_examples(picture_files.damaged(kind), check)


def test_what_only_begins_as_a_picture_is_refused(try_examples, check):
    beginnings = st.sampled_from([*pictures.BEGINNINGS, b"GIF89a", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b""])
    try_examples(st.builds(lambda start, rest: start + rest, beginnings, st.binary(max_size=60)), check)


def grey(size=(9, 6)):
    return Image.linear_gradient("L").resize(size)


def in_four_colours(size=(9, 6)):
    return Image.merge("RGB", [grey(size), grey(size).rotate(90), grey(size)]).quantize(4)


def without_right_sum(contents, kind):
    at = contents.index(kind) - 4
    end = at + 8 + int.from_bytes(contents[at : at + 4], "big")
    return contents[:end] + bytes(4) + contents[end + 4 :]


def one_bit_png(**chunks):
    return png_file(np.arange(54).reshape(6, 9, 1) % 2, 0, 1, **chunks)


def bmp_of(indices, colours):
    """A BMP of 8 bits and a table of some colours."""
    contents = bytearray(written(Image.fromarray(np.array(indices, np.uint8)), "BMP"))
    contents[46:50] = colours.to_bytes(4, "little")
    return bytes(contents)


def gif_with(at_frame, new):
    whole = written(in_four_colours(), "GIF")
    at = whole.index(b"\x2c\0\0\0\0") + at_frame
    return whole[:at] + new + whole[at + len(new) :]


def in_another_size(bmp, side):
    return bmp[:18] + 2 * side.to_bytes(4, "little") + bmp[26:]


def gif_with_undefined_code():
    """Its codes have 3 bits: clear, 0, 7 where 6 would be the next one, 1, end."""
    whole = written(in_four_colours((4, 1)), "GIF")
    at = whole.index(b"\x2c\0\0\0\0") + 10
    return whole[:at] + b"\2\2\xc4\x53\0;"


def png_with_exif_behind(data):
    """A PNG that is to be turned, and says otherwise behind its pixels, where it must not."""
    *chunks, end = png_chunks(png_file(np.arange(54).reshape(6, 9, 1), 0, 8, orientation=6))
    return png_of([*chunks, (b"eXIf", data), end])


def exif_data(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


def jpeg_with(between):
    """A JPEG that is to be turned, and says so behind other bytes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = written(grey(), "JPEG", exif=exif)
    at = whole.index(b"\xff\xe1")
    return whole[:at] + between + whole[at:]


FOUND = {
    "a GIF with a transparent colour": written(in_four_colours(), "GIF", transparency=1),
    "a GIF whose codes end early": gif_with(12, b"\1\4\0;"),
    "a GIF of another version": written(in_four_colours(), "GIF").replace(b"GIF8", b"GIF8x", 1),
    "a GIF whose frame is smaller than it": gif_with(5, b"\4\0"),
    "a GIF whose frame is larger than it": written(in_four_colours(), "GIF").replace(b"a\x09\0\6\0", b"a\4\0\6\0", 1),
    "a GIF whose frame is moved": gif_with(1, b"\1\0"),
    "a PNG of one bit, transparent by a chunk whose sum is wrong": without_right_sum(
        one_bit_png(tRNS=b"\0\1"), b"tRNS"
    ),
    "a PNG of one bit, transparent by a chunk that is too long": one_bit_png(tRNS=b"\0\1\0"),
    "a PNG of four colours, transparent by a chunk whose sum is wrong": without_right_sum(
        written(in_four_colours(), "PNG", transparency=1), b"tRNS"
    ),
    "a PNG of four colours, transparent by a chunk in front of them": png_of(
        [
            chunk
            for kind in (b"IHDR", b"tRNS", b"PLTE", b"IDAT", b"IEND")
            for chunk in png_chunks(written(in_four_colours(), "PNG", transparency=1))
            if chunk[0] == kind
        ]
    ),
    "a PNG that is transparent by two chunks": png_file(np.arange(54).reshape(6, 9, 1), 0, 8, tRNS=b"\0\1").replace(
        png_of([(b"tRNS", b"\0\1")])[8:], png_of([(b"tRNS", b"\0\1"), (b"tRNS", b"\0\2")])[8:]
    ),
    "a grey PNG, transparent by a chunk that is too long": png_file(
        np.arange(54).reshape(6, 9, 1), 0, 8, tRNS=b"\0\1\0"
    ),
    "a BMP with something behind it": written(in_four_colours().convert("RGB"), "BMP") + b"more",
    "a BMP with more colours than its table": bmp_of([[0, 3, 9, 200]] * 3, 4),
    "a BMP whose table reaches into the pixels": bmp_of([[0, 3, 9, 200]] * 3, 260),
    "a BMP of millions of colours": bmp_of([[0, 3, 9, 200]] * 3, 2**31 + 5),
    "a BMP whose header ends where there is nothing": written(grey(), "BMP").replace(b"\x28\0\0\0", b"\x28\1\1\0", 1),
    "a JPEG filled up before its EXIF data": jpeg_with(b"\xff\xff\xff"),
    "a JPEG with bytes left over before its EXIF data": jpeg_with(b"\0\1\2"),
    "a JPEG with a segment of no length before its EXIF data": jpeg_with(b"\xff\xe0\0\0"),
    "a JPEG with a marker alone before its EXIF data": jpeg_with(b"\xff\xd0"),
    "a JPEG with a marker of temporary use before its EXIF data": jpeg_with(b"\xff\x01"),
    "a JPEG with a marker that is none before its EXIF data": jpeg_with(b"\xff\x02"),
    "a PNG with no EXIF data behind its pixels": png_with_exif_behind(b""),
    "a PNG with other EXIF data behind its pixels": png_with_exif_behind(exif_data(3)),
    "a grey PNG, transparent by a chunk behind its pixels": png_of(
        [*png_chunks(written(grey(), "PNG"))[:-1], (b"tRNS", b"\0\1"), (b"IEND", b"")]
    ),
    "a GIF with a code that is not defined": gif_with_undefined_code(),
    "a GIF of four thousand million pixels": b"GIF89a" + b"\xff" * 4 + written(in_four_colours(), "GIF")[10:],
    "a BMP of a thousand million pixels": in_another_size(written(grey(), "BMP"), 2**15),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_so_is_one_picture_to_all_or_refused(name, check):
    check(FOUND[name])
