"""The same file reaches the network as the same pixels, in training and when it is sent to an export."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw, ImageOps

from ml_lstm import data
from ml_lstm.data import pictures
from ml_lstm.data.resizing import resize
from ml_lstm.episode import Problem
from ml_lstm.methods import PixelNearestNeighbour
from ml_lstm.serving import export_version

SIDE = 20
SIZES = {
    "much larger": (710, 333),
    "larger": (67, 45),
    "smaller": (9, 14),
    "one way each": (30, 11),
    "its own": (SIDE, SIDE),
}


def scene(size, seed=0):
    """A smooth picture in colours: what a camera makes, and what JPEG is made for."""
    corners = np.random.default_rng(seed).integers(0, 256, (4, 3, 3)).astype(np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.BICUBIC)


def written(picture, kind, **settings):
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def turned(picture, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return written(picture, kind, exif=exif)


def veiled(picture):
    """With an opacity from left to right."""
    opacity = Image.linear_gradient("L").rotate(90).resize(picture.size)
    picture = picture.convert("RGBA")
    picture.putalpha(opacity)
    return picture


def files():
    large = scene(SIZES["larger"])
    found = {f"jpeg, {name}": written(scene(size), "JPEG", quality=95) for name, size in SIZES.items()}
    found |= {f"png, {name}": written(scene(size), "PNG") for name, size in SIZES.items()}
    for kind in ("JPEG", "PNG"):
        found |= {f"{kind}, orientation {number}": turned(large, kind, number) for number in range(1, 9)}
    found |= {f"png, {colours} colours": written(large.quantize(colours), "PNG") for colours in (2, 4, 16, 200)}
    found |= {
        f"png, {colours} and none": written(large.quantize(colours), "PNG", transparency=1) for colours in (4, 16)
    }
    sixteen = np.linspace(0, 65535, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    return found | {
        "jpeg, grey": written(large.convert("L"), "JPEG"),
        "jpeg, progressive": written(large, "JPEG", progressive=True),
        "png, 1 bit": written(large.convert("1"), "PNG"),
        "png, grey": written(large.convert("L"), "PNG"),
        "png, grey, one shade transparent": written(large.convert("L"), "PNG", transparency=100),
        "png, 1 bit, black transparent": written(large.convert("1"), "PNG", transparency=0),
        "png, 16 bits": written(Image.fromarray(sixteen), "PNG"),
        "png, opacity": written(veiled(large), "PNG"),
        "png, grey with opacity": written(veiled(large).convert("LA"), "PNG"),
        "bmp": written(large, "BMP"),
        "bmp, 200 colours": written(large.quantize(200), "BMP"),
        "gif": written(large.quantize(200), "GIF"),
    }


FILES = files()


def png_file(samples, colour_type, depth, interlaced=False, orientation=1, **chunks):
    """A PNG of samples [H, W, C], bit by bit, as the format's specification has it; Pillow writes no such variety."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def rows(part):
        if not part.size:
            return b""
        bits = np.unpackbits(part.astype(">u2").view(np.uint8).reshape(*part.shape, 2), axis=-1)[..., 16 - depth :]
        lines = np.packbits(bits.reshape(len(part), -1), axis=1)
        return b"".join(b"\0" + line.tobytes() for line in lines)

    height, width = samples.shape[:2]
    adam7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    passes = adam7 if interlaced else ((0, 0, 1, 1),)
    pixels = b"".join(rows(samples[y::down, x::right]) for y, x, down, right in passes)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    exif = (
        {}
        if orientation == 1
        else {"eXIf": struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0)}
    )
    middle = b"".join(chunk(name.encode(), data) for name, data in (exif | chunks).items())
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + middle
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def png_variants():
    """By name a file and its colours: colour type x bit depth x transparency x interlacing x orientation."""
    random = np.random.default_rng(7)
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    for (colour_type, depth), some_transparent in itertools.product(
        [(colour_type, depth) for colour_type, of_type in depths.items() for depth in of_type], (False, True)
    ):
        if some_transparent and colour_type > 3:
            continue
        samples = random.integers(0, 2**depth, (11, 13, channels[colour_type]))
        eight = samples * 255 // (2**depth - 1) if depth <= 8 else samples >> 8
        chunks, opacity = {}, 255
        if colour_type == 3:
            palette = random.integers(0, 256, (2**depth, 3))
            chunks["PLTE"] = palette.astype(np.uint8).tobytes()
            seen = palette[samples[..., 0]]
            if some_transparent:
                opacities = random.integers(0, 256, 2**depth)
                chunks["tRNS"] = opacities.astype(np.uint8).tobytes()
                opacity = opacities[samples]
        else:
            seen = eight[..., :3] if colour_type & 2 else eight[..., :1].repeat(3, axis=-1)
            if colour_type & 4:
                opacity = eight[..., -1:]
            elif some_transparent:
                hidden = samples[3, 4]
                chunks["tRNS"] = hidden.astype(">u2").tobytes()
                opacity = np.where((samples == hidden).all(axis=-1, keepdims=True), 0, 255)
        seen = (seen * opacity + 255 * (255 - opacity) + 127) // 255
        for interlaced, orientation in itertools.product((False, True), (1, 6)):
            name = f"png, type {colour_type}, {depth} bits" + ", transparent" * some_transparent
            name += ", interlaced" * interlaced + ", turned" * (orientation == 6)
            contents = png_file(samples, colour_type, depth, interlaced, orientation, **chunks)
            yield name, (contents, np.rot90(seen, -1) if orientation == 6 else seen)


def bmp_variants():
    """By name a file and its colours: bits a pixel x order of rows."""
    random = np.random.default_rng(8)
    for bits, top_down in itertools.product((1, 4, 8, 24, 32), (False, True)):
        if bits <= 8:
            palette = random.integers(0, 256, (2**bits, 3))
            samples = random.integers(0, 2**bits, (11, 13, 1))
            seen = palette[samples[..., 0]]
            table = np.pad(palette[:, ::-1], [(0, 0), (0, 1)]).astype(np.uint8).tobytes()
            packed = np.unpackbits(samples.astype(np.uint8), axis=-1)[..., 8 - bits :].reshape(11, -1)
            rows = np.packbits(packed, axis=1)
        else:
            seen, table = random.integers(0, 256, (11, 13, 3)), b""
            rows = np.pad(seen[..., ::-1], [(0, 0), (0, 0), (0, bits // 8 - 3)]).astype(np.uint8).reshape(11, -1)
        rows = np.pad(rows, [(0, 0), (0, -rows.shape[1] % 4)])
        pixels = (rows if top_down else rows[::-1]).tobytes()
        height, begin = -11 if top_down else 11, 54 + len(table)
        header = struct.pack(
            "<2sIIIIiiHHIIiiII", b"BM", begin + len(pixels), 0, begin, 40, 13, height, 1, bits, *[0] * 6
        )
        yield f"bmp, {bits} bits" + ", from the top" * top_down, (header + table + pixels, seen)


VARIANTS = dict(png_variants()) | dict(bmp_variants())


def other_variants():
    """Files of which it matters only that they are the same in training and when served."""
    large = scene(SIZES["larger"])
    for number in range(1, 9):
        yield f"jpeg, grey, orientation {number}", turned(large.convert("L"), "JPEG", number)
        yield f"jpeg, cmyk, orientation {number}", turned(large.convert("CMYK"), "JPEG", number)
        yield f"png, 16 colours, orientation {number}", turned(large.quantize(16), "PNG", number)
    for colours in (2, 4, 16, 200):
        for interlaced, settings in itertools.product((0, 1), ({}, {"transparency": 1})):
            name = f"gif, {colours} colours" + ", interlaced" * interlaced + ", transparent" * bool(settings)
            yield name, written(large.quantize(colours), "GIF", interlace=interlaced, **settings)
    for subsampling in (0, 1, 2):
        yield f"jpeg, subsampling {subsampling}", written(large, "JPEG", subsampling=subsampling, quality=60)


ALL = FILES | {name: contents for name, (contents, _) in VARIANTS.items()} | dict(other_variants())


def as_pillow_reads(contents):
    """RGB, turned, on white: what anyone sees who opens the file."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"))


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory):
    """The pixels of each file that the folder source holds."""
    root = tmp_path_factory.mktemp("pictures")
    for split in ("val", "test"):
        (root / split / split).mkdir(parents=True)
        (root / split / split / "0.bmp").write_bytes(FILES["bmp"])
    (root / "train" / "all").mkdir(parents=True)
    for number, contents in enumerate(ALL.values()):
        (root / "train" / "all" / f"{number:03}").write_bytes(contents)
    pool = data.load("folder", data_dir=str(root), image_size=SIDE, strict=True).pools["train"]
    return dict(zip(ALL, pool.images, strict=True))


@pytest.fixture(scope="module")
def signatures(tmp_path_factory):
    """Of an export whose adaptation holds the pixels themselves."""
    method = PixelNearestNeighbour(Problem((SIDE, SIDE, 3), 10))
    directory = export_version(method, (SIDE, SIDE, 3), str(tmp_path_factory.mktemp("export") / "m"), "{}")
    return tf.saved_model.load(str(directory)).signatures


@pytest.fixture(scope="module")
def served_on(signatures):
    """The pixels of each file that reach a method in an export."""
    adaptation = signatures["adapt_encoded"](
        support_images=tf.constant(list(ALL.values())), support_labels=tf.constant(["a"] * len(ALL))
    )
    return dict(zip(ALL, adaptation["pixels"].numpy().reshape(-1, SIDE, SIDE, 3), strict=True))


@pytest.mark.parametrize("name", ALL)
def test_a_file_is_served_as_it_is_trained_on(name, trained_on, served_on):
    np.testing.assert_allclose(served_on[name] * 255, trained_on[name], atol=1.001)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_decoded_as_pillow_decodes_it(name):
    found = pictures.decode(tf.constant(FILES[name]), 3, ["the file"]).numpy()
    np.testing.assert_allclose(found.astype(int), as_pillow_reads(FILES[name]), atol=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_file_is_decoded_as_its_format_says(name):
    contents, seen = VARIANTS[name]
    found = pictures.decode(tf.constant(contents), 3, ["the file"]).numpy()
    np.testing.assert_allclose(found.astype(int), seen, atol=1)


def lake_like(classes=10, drawings=6):
    """Characters of thick strokes, drawn differently each time, as Omniglot's own files have them: 1 bit a pixel."""
    random = np.random.default_rng(3)
    for _ in range(classes):
        strokes = random.uniform(10, 95, (3, 3, 2))
        yield [drawn(strokes + random.normal(0, 4, strokes.shape)) for _ in range(drawings)]


def drawn(strokes):
    picture = Image.new("1", (105, 105), 1)
    for stroke in strokes:
        ImageDraw.Draw(picture).line([tuple(point) for point in stroke], fill=0, width=4)
    return picture


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
@pytest.mark.parametrize("queries", [True, False], ids=["queries of one bit", "support of one bit"])
def test_files_of_one_bit_score_what_those_of_eight_bits_do(kind, queries, signatures):
    characters = list(lake_like())
    labels = tf.constant([str(number) for number in range(len(characters))])
    one, eight = (
        [[written(picture.convert(mode), kind) for picture in drawings] for drawings in characters]
        for mode in ("1", "L")
    )

    def score(support, asked):
        answers = signatures["adapt_and_predict_encoded"](
            support_images=tf.constant([drawings[0] for drawings in support]),
            support_labels=labels,
            query_images=tf.constant([picture for drawings in asked for picture in drawings[1:]]),
        )
        found = answers["predictions"].numpy().reshape(len(characters), -1)
        return float(np.mean(found == labels.numpy()[:, None]))

    of_eight = score(eight, eight)
    assert of_eight > 0.6  # of chance, 0.1
    assert score(one, one) == of_eight
    assert score(eight if queries else one, one if queries else eight) == of_eight


@pytest.mark.parametrize(("size", "decoded"), [((79, 400), (79, 400)), ((80, 400), (40, 200)), ((710, 333), (89, 42))])
def test_a_jpeg_far_larger_than_wanted_is_decoded_smaller_to_the_same_picture(size, decoded):
    contents = tf.constant(written(scene(size), "JPEG", quality=95))
    whole, reduced = (pictures.decode(contents, 3, ["the file"], side) for side in (None, SIDE))
    assert whole.shape == (size[1], size[0], 3)
    assert reduced.shape == (decoded[1], decoded[0], 3)
    seen = [resize(picture[None], SIDE, SIDE).numpy().astype(int) for picture in (whole, reduced)]
    # Its colours have half the resolution of its brightness; where a reduced one lies differs by a part of a pixel.
    np.testing.assert_allclose(*seen, atol=10)
    assert np.abs(seen[0] - seen[1]).mean() < 1.5


@pytest.mark.parametrize("size", [(1, 2**16), (2**16, 1)])
def test_a_thread_of_pixels_is_refused_before_it_is_resized(size):
    """A row of weights for each of so many pixels would take gigabytes."""
    with pytest.raises(tf.errors.InvalidArgumentError, match="is higher or wider than 65535 pixels"):
        pictures.decode(tf.constant(written(Image.new("1", size), "PNG")), 3, ["the file"])


def test_pixels_in_a_thread_are_refused_too(signatures):
    images = tf.zeros([1, 2**16, 1, 3], tf.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="support_images must be at most 65535 pixels high"):
        signatures["adapt"](support_images=images, support_labels=tf.constant(["a"]))
