"""Picture files are decoded as Pillow decodes them, and refused by their headers if they are too large."""

import io
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml_lstm.data import pictures

RANDOM = np.random.default_rng(0)
GREY, RGB = (RANDOM.integers(64, 192, shape).astype("uint8") for shape in ((6, 9), (6, 9, 3)))
REFUSED = tf.errors.InvalidArgumentError


def file_bytes(image, kind, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def png_header(width, height):
    """A well-formed PNG that announces a size, and no more than a few of its pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg_header(width, height):
    whole = file_bytes(GREY, "jpeg")
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", height, width) + whole[at + 4 :]


def bmp_header(width, height):
    whole = file_bytes(RGB, "bmp")
    return whole[:18] + struct.pack("<ii", width, height) + whole[26:]


def bmp_with(at, contents):
    whole = file_bytes(RGB, "bmp")
    return whole[:at] + contents + whole[at + len(contents) :]


def gif_with_a_larger_frame(width, height):
    """Its header still announces 9 x 6 pixels."""
    whole = file_bytes(GREY, "gif")
    at = whole.index(struct.pack("<BHHHH", 0x2C, 0, 0, 9, 6)) + 5
    return whole[:at] + struct.pack("<HH", width, height) + whole[at + 4 :]


HUGE = {
    "png": png_header(20_000, 20_000),
    "png, wide": png_header(2**31 - 1, 1),
    "png, product of 2**64": png_header(2**32 - 1, 2**32 - 1),
    "jpeg": jpeg_header(20_000, 20_000),
    "bmp": bmp_header(20_000, 20_000),
    "bmp, from the top": bmp_header(20_000, -20_000),
    "gif": gif_with_a_larger_frame(20_000, 20_000),
}


@pytest.fixture(scope="module")
def decode():
    """`decode[channels]` is `pictures.decode` as it is in an export: traced."""

    def traced(channels):
        spec = tf.TensorSpec([], tf.string)
        return tf.function(
            lambda contents: pictures.decode(contents, channels, ["picture", tf.constant(7)]), autograph=False
        ).get_concrete_function(spec)

    return {channels: traced(channels) for channels in (1, 3)}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "jpeg"])
def test_each_kind_is_decoded_as_pillow_does(decode, kind, image, channels):
    contents = file_bytes(image, kind)
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))
    if channels == 1:
        expected = np.asarray(Image.fromarray(expected).convert("L"))[:, :, None]
    actual = decode[channels](tf.constant(contents)).numpy()
    assert np.abs(actual.astype(int) - expected).max() <= 3  # JPEG leaves some freedom, and grey is rounded


@pytest.mark.parametrize("channels", [1, 3])
def test_cmyk_is_decoded_as_pillow_does(decode, channels):
    file = io.BytesIO()
    Image.fromarray(RGB).resize((64, 48)).convert("CMYK").save(file, "jpeg", quality=100, subsampling=0)
    expected = Image.open(file).convert("RGB")
    expected = np.asarray(expected if channels == 3 else expected.convert("L")).reshape(48, 64, channels)
    actual = decode[channels](tf.constant(file.getvalue())).numpy()
    assert np.abs(actual.astype(int) - expected).max() <= 6  # JPEG leaves some freedom


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(decode, mode):
    picture = Image.fromarray(RGB).convert("RGBA")
    opacity = np.tile(np.linspace(0, 255, 9).astype("uint8"), (6, 1))
    picture.putalpha(Image.fromarray(opacity))
    contents = file_bytes(np.asarray(picture.convert(mode)), "png")
    white = Image.new("RGBA", picture.size, "white")
    expected = np.asarray(Image.alpha_composite(white, picture.convert(mode).convert("RGBA")).convert("RGB"))
    actual = decode[3](tf.constant(contents)).numpy()
    assert np.abs(actual.astype(int) - expected).max() <= 1
    assert (actual[:, 0] == 255).all()


def test_of_an_animation_the_first_frame_is_taken(decode):
    frames = [Image.fromarray(np.full((6, 9), value, "uint8")) for value in (50, 100, 150)]
    file = io.BytesIO()
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:], duration=100, loop=0, comment=b"c" * 600)
    np.testing.assert_array_equal(decode[1](tf.constant(file.getvalue())), np.full((6, 9, 1), 50))


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_picture_is_refused_by_its_header(decode, name):
    with pytest.raises(REFUSED, match=f"at most {pictures.MAX_PIXELS} pixels"):
        decode[3](tf.constant(HUGE[name]))


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "is not a JPEG, PNG, BMP or GIF image"),
        (b"no image", "is not a JPEG, PNG, BMP or GIF image"),
        (file_bytes(RGB, "webp"), "is not a JPEG, PNG, BMP or GIF image"),
        (file_bytes(RGB, "tiff"), "is not a JPEG, PNG, BMP or GIF image"),
        (png_header(0, 5), "has no pixels"),
        (png_header(90, 60), "PNG"),
        (file_bytes(RGB, "png")[:60], "PNG"),
        (file_bytes(RGB, "png")[:20], "has no pixels"),
        (file_bytes(RGB, "jpeg")[:60], "JPEG"),
        (file_bytes(RGB, "bmp")[:60], "is a damaged BMP"),
        (file_bytes(GREY, "bmp")[:-40], "is a damaged BMP"),
        (bmp_with(28, b"\x10\0"), "is a BMP of. .16. .bits a pixel"),
        (bmp_with(28, b"\0\0"), "is a BMP of. .0. .bits a pixel"),
        (bmp_with(30, b"\x03"), "is a compressed BMP"),
        (bmp_with(32, b"\1"), "is a compressed BMP"),
        (bmp_with(14, b"\x0c"), "or an old one"),
        (bmp_with(10, b"\0\0\0\0"), "is a damaged BMP"),
        (bmp_with(10, b"\xff\xff\xff\x7f"), "is a damaged BMP"),
        (bmp_with(18, struct.pack("<i", -9)), "has no pixels"),
        (file_bytes(RGB, "gif")[:60], "is a damaged GIF"),
        (file_bytes(GREY, "gif")[:-4], "is a damaged GIF"),
        (b"GIF89a", "is a damaged GIF"),
        (file_bytes(GREY, "gif").replace(b"\x2c\0\0\0\0", b"\x21\xfe\0\x2c\0\0\0\0", 1), "is a damaged GIF"),
    ],
)
def test_what_is_no_whole_picture_is_refused_in_words(decode, contents, words):
    with pytest.raises(REFUSED, match=words):
        decode[3](tf.constant(contents))


def test_the_refusal_says_which_picture(decode):
    with pytest.raises(REFUSED, match=r"picture\] \[7\] \[is not a JPEG"):
        decode[1](tf.constant(b"no image"))


def test_a_refused_picture_takes_no_memory_for_its_pixels(tmp_path):
    """20,000 x 20,000 x 3 pixels are 1,200 MB as bytes; address space counts what was asked for, touched or not."""
    for name, contents in HUGE.items():
        (tmp_path / name).write_bytes(contents)
    script = f"""
import re
from pathlib import Path
import tensorflow as tf
from ml_lstm.data import pictures

def megabytes():
    return int(re.search(r"VmPeak:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024

decode = tf.function(lambda contents: pictures.decode(contents, 3, []), autograph=False)
decode(tf.constant({file_bytes(RGB, "png")!r}))
before = megabytes()
for path in sorted(Path({str(tmp_path)!r}).iterdir()):
    try:
        decode(tf.constant(path.read_bytes()))
    except tf.errors.InvalidArgumentError:
        print("refused with", megabytes() - before)
"""
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=1200)
    megabytes = [int(line.split()[2]) for line in result.stdout.splitlines() if line.startswith("refused")]
    assert len(megabytes) == len(HUGE)
    assert max(megabytes) < 600


@pytest.mark.parametrize(
    "more",
    [
        b"\x21\xfe" + b"\x01a" * 1_000_000 + b"\0",
        b"\x21\xfe\x01a\0" * 400_000,
        (b"\x21\xfe" + b"\x02ab" * 10 + b"\0" + b"\x21\xf9\x04\0\0\0\0\0") * 40_000,
        b"\x21\xfe" + (b"\xff" + b"a" * 255) * 8_000 + b"\0",
    ],
    ids=["sub-blocks", "extensions", "both", "large sub-blocks"],
)
def test_the_work_on_a_gif_is_linear_in_its_bytes(decode, more):
    """A look at each of its parts took 50 microseconds: a minute and more for these 2 MB."""
    plain = file_bytes(RGB, "gif")
    at = plain.index(b"\x2c\0\0\0\0")
    contents = tf.constant(plain[:at] + more + plain[at:])
    decode[3](tf.constant(plain))
    started = time.monotonic()
    found = decode[3](contents)
    assert time.monotonic() - started < 15
    np.testing.assert_array_equal(found, decode[3](tf.constant(plain)))


def test_pixels_are_announced_by_every_kind_of_header():
    count = tf.function(pictures.announced_pixels, autograph=False)
    for kind in ("png", "jpeg", "bmp", "gif"):
        assert count(tf.constant(file_bytes(RGB, kind))) == 54, kind
    for header in (png_header, jpeg_header, bmp_header, gif_with_a_larger_frame):
        assert count(tf.constant(header(20_000, 30_000))) == 20_000 * 30_000, header
    for contents in (b"", b"no image", file_bytes(RGB, "webp")):
        assert count(tf.constant(contents)) == 0
