"""Picture files as they are drawn."""

import io

import numpy as np
import pytest
from PIL import Image

from ml_lstm.plots.drawing import square

RED, BLUE, WHITE = (250, 0, 0), (0, 0, 250), (255, 255, 255)


def written(picture, kind, **settings):
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def halves():
    """Red at the left, blue at the right: twice as wide as high."""
    picture = Image.new("RGB", (80, 40), RED)
    picture.paste(BLUE, (40, 0, 80, 40))
    return picture


def test_a_picture_keeps_its_proportions_in_the_middle_of_a_white_square():
    seen = square(written(halves(), "PNG"), 40)
    assert (seen.shape, seen.dtype) == ((40, 40, 3), np.uint8)
    assert (seen[:10] == WHITE).all() and (seen[30:] == WHITE).all()
    assert (seen[12:28, :14] == RED).all() and (seen[12:28, 26:] == BLUE).all()


def test_a_photograph_is_turned_as_its_camera_was():
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = square(written(halves(), "PNG", exif=exif), 40)
    assert (seen[:14, 12:28] == RED).all() and (seen[26:, 12:28] == BLUE).all()


@pytest.mark.parametrize(
    ("picture", "shade"),
    [
        (Image.new("1", (9, 9), 1), WHITE),
        (Image.new("L", (9, 9), 90), (90, 90, 90)),
        (Image.new("RGBA", (9, 9), (*RED, 0)), WHITE),
        (Image.new("RGB", (9, 9), RED).quantize(4), RED),
        (Image.fromarray(np.full((9, 9), 256 * 90, np.uint16)), (90, 90, 90)),
    ],
    ids=["1 bit", "grey", "transparent", "palette", "16 bits"],
)
def test_pictures_of_all_kinds_are_drawn_in_their_colours(picture, shade):
    assert (square(written(picture, "PNG"), 12) == shade).all()


@pytest.mark.parametrize("contents", [b"", b"no picture", written(halves(), "PNG")[:80]])
def test_what_cannot_be_read_is_grey(contents):
    seen = square(contents, 12)
    assert seen.shape == (12, 12, 3)
    assert (seen == seen[0, 0]).all() and len({*seen[0, 0]}) == 1
