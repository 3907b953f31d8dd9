"""A photograph that is shrunk before it is sent is, to a model, the photograph that it was."""

import io
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml_lstm.data import pictures
from ml_lstm.data.resizing import resize
from ml_lstm_client.photographs import fitted, shorter_edge

SIDE = 28
SIZE = (1210, 907)


def scene(size=SIZE, seed=0):
    """Smooth, with some noise: what a camera sees."""
    random = np.random.default_rng(seed)
    corners = random.integers(40, 216, (5, 4, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(corners).resize(size, Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((smooth + random.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8))


def written(picture, kind, orientation=1, **settings):
    exif = Image.Exif()
    exif[0x0112] = orientation
    if orientation != 1:
        settings["exif"] = exif
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def veiled(picture):
    picture = picture.convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


PHOTOGRAPHS = {f"{kind}, orientation {n}": written(scene(), kind, n) for kind in ("JPEG", "PNG") for n in (1, 3, 6, 7)}
PHOTOGRAPHS |= {
    f"JPEG of {size}": written(scene(size), "JPEG", 6) for size in ((120, 119), (450, 120), (913, 4000), (3000, 2250))
}
PHOTOGRAPHS |= {
    "grey JPEG": written(scene().convert("L"), "JPEG", 8),
    "CMYK": written(scene().convert("CMYK"), "JPEG"),
    "BMP": written(scene(), "BMP"),
    "BMP of 200 colours": written(scene().quantize(200), "BMP"),
    "GIF": written(scene().quantize(64), "GIF"),
    "PNG of 1 bit": written(scene().convert("1"), "PNG"),
    "PNG of 16 colours": written(scene().quantize(16), "PNG", 5),
    "PNG with opacity": written(veiled(scene()), "PNG", 6),
    "grey PNG with opacity": written(veiled(scene()).convert("LA"), "PNG"),
    "PNG with a transparent shade": written(scene().convert("L"), "PNG", transparency=120),
}


def with_chunk_behind_pixels(png, kind, data):
    end = png.index(b"IEND") - 4
    chunk = kind + data
    return png[:end] + len(data).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[end:]


EXIF = b"MM\0\x2a\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
PHOTOGRAPHS |= {
    "PNG with EXIF data behind its pixels": with_chunk_behind_pixels(written(scene(), "PNG"), b"eXIf", EXIF),
    "PNG with other EXIF data behind its pixels": with_chunk_behind_pixels(written(scene(), "PNG", 3), b"eXIf", EXIF),
    "PNG with no EXIF data behind its pixels": with_chunk_behind_pixels(written(scene(), "PNG", 3), b"eXIf", b""),
    "grey PNG with a transparent shade behind its pixels": with_chunk_behind_pixels(
        written(scene().convert("L"), "PNG"), b"tRNS", b"\0\x78"
    ),
    "JPEG turned by XMP only": written(scene(), "JPEG", xmp=XMP),
}


def seen(contents):
    picture = pictures.decode(tf.constant(contents), 3, ["the file"], SIDE)
    return resize(picture[None], SIDE, SIDE)[0].numpy().astype(int)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_model_sees_what_it_would_have_seen(name):
    whole, sent = PHOTOGRAPHS[name], fitted(PHOTOGRAPHS[name], SIDE)
    width, height = Image.open(io.BytesIO(sent)).size
    assert 2 * SIDE <= min(width, height) < 4 * SIDE
    assert "exif" not in Image.open(io.BytesIO(sent)).info
    difference = np.abs(seen(sent) - seen(whole))
    assert difference.max() <= 8
    assert difference.mean() < 1


def test_a_photograph_of_50_million_pixels_becomes_one_that_a_model_takes():
    large = written(Image.linear_gradient("L").resize((8000, 6200)), "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError, match="shrink it"):
        seen(large)
    assert seen(fitted(large, SIDE)).shape == (SIDE, SIDE, 3)


AS_THEY_ARE = {
    "small": written(scene((4 * SIDE - 1, 200)), "JPEG", 6),
    "no picture": b"no picture",
    "nothing": b"",
    "cut short": written(scene(), "PNG")[:5000],
    "16 bits": written(Image.fromarray(np.zeros((200, 200), np.uint16)), "PNG"),
    "another format": written(scene(), "WEBP"),
    "GIF with transparency": written(scene().quantize(16), "GIF", transparency=0),
}


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_what_is_small_or_not_surely_understood_is_sent_as_it_is(name):
    assert fitted(AS_THEY_ARE[name], SIDE) == AS_THEY_ARE[name]


def test_the_shorter_edge_is_known_by_the_header():
    assert shorter_edge(PHOTOGRAPHS["BMP"][:100]) == 907
    assert shorter_edge(b"no picture") == 0
