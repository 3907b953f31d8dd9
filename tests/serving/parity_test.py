"""The same file reaches the network as the same pixels, in training and when it is sent to an export."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

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
    for number, contents in enumerate(FILES.values()):
        (root / "train" / "all" / f"{number:03}").write_bytes(contents)
    pool = data.load("folder", data_dir=str(root), image_size=SIDE, strict=True).pools["train"]
    return dict(zip(FILES, pool.images, strict=True))


@pytest.fixture(scope="module")
def signatures(tmp_path_factory):
    """Of an export whose adaptation holds the pixels themselves."""
    method = PixelNearestNeighbour(Problem((SIDE, SIDE, 3), 2))
    directory = export_version(method, (SIDE, SIDE, 3), str(tmp_path_factory.mktemp("export") / "m"), "{}")
    return tf.saved_model.load(str(directory)).signatures


@pytest.fixture(scope="module")
def served_on(signatures):
    """The pixels of each file that reach a method in an export."""
    adaptation = signatures["adapt_encoded"](
        support_images=tf.constant(list(FILES.values())), support_labels=tf.constant(["a"] * len(FILES))
    )
    return dict(zip(FILES, adaptation["pixels"].numpy().reshape(-1, SIDE, SIDE, 3), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_served_as_it_is_trained_on(name, trained_on, served_on):
    np.testing.assert_allclose(served_on[name] * 255, trained_on[name], atol=1.001)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_decoded_as_pillow_decodes_it(name):
    found = pictures.decode(tf.constant(FILES[name]), 3, ["the file"]).numpy()
    np.testing.assert_allclose(found.astype(int), as_pillow_reads(FILES[name]), atol=1)


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
