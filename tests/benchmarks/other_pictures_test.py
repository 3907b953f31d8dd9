"""Folders of other kinds of pictures."""

import numpy as np
from PIL import Image

from benchmarks import other_pictures


def test_shapes_are_the_same_each_time_and_no_two_alike(tmp_path):
    count = other_pictures.write(other_pictures.shapes, tmp_path)
    files = sorted(tmp_path.glob("*/*.png"))
    assert [len(files), len({path.parent for path in files})] == [count, len(other_pictures.SHAPES)] == [600, 10]
    read = {path: np.asarray(Image.open(path)) for path in files}
    assert {pixels.shape for pixels in read.values()} == {(64, 64, 3)}
    assert len({pixels.tobytes() for pixels in read.values()}) == count
    name, number, picture = next(other_pictures.shapes())
    np.testing.assert_array_equal(np.asarray(picture), read[tmp_path / name / f"{number:04}.png"])


def test_a_ring_shows_the_ground_inside():
    _, _, picture = next(each for each in other_pictures.shapes() if each[0] == "ring")
    pixels = np.asarray(picture, int)
    row, column = np.argwhere(np.abs(pixels - pixels[0, 0]).sum(axis=-1) > 200).mean(axis=0).astype(int)
    assert np.abs(pixels[row, column] - pixels[0, 0]).sum() < 200


def test_digits_are_dark_on_white():
    digits = list(other_pictures.digits())
    assert len(digits) == 1797
    assert {name for name, _, _ in digits} == set("0123456789")
    corners = np.mean([np.asarray(picture, int)[0, 0] for _, _, picture in digits])
    assert corners > 200 > 100 > np.mean([np.asarray(picture).min() for _, _, picture in digits])
