"""Averages over areas."""

import numpy as np
import pytest

from ml_lstm.data.resizing import area_resize

RANDOM = np.random.default_rng(0)


def images(*shape):
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def test_a_new_pixel_is_the_mean_of_the_old_ones_that_it_covers():
    image = images(2, 105, 70, 3)
    blocks = image.reshape(2, 35, 3, 35, 2, 3).mean(axis=(2, 4))
    np.testing.assert_array_equal(area_resize(image, 35), np.rint(blocks))
    # 105 / 28 = 3.75: the first new pixel covers three old ones and three quarters of a fourth; 70 / 28 = 2.5.
    down, along = np.array([1, 1, 1, 0.75]), np.array([1, 1, 0.5])
    corner = np.einsum("hwc,h,w->c", image[0, :4, :3], down, along) / (3.75 * 2.5)
    np.testing.assert_array_equal(area_resize(image, 28)[0, 0, 0], np.rint(corner))


def test_images_of_that_size_stay_as_they_are():
    image = images(2, 12, 12, 1)
    np.testing.assert_array_equal(area_resize(image, 12), image)


def test_small_images_are_enlarged_pixel_by_pixel():
    image = images(1, 3, 2, 1)
    np.testing.assert_array_equal(area_resize(image, 6), image.repeat(2, axis=1).repeat(3, axis=2))


@pytest.mark.parametrize("value", [0, 255])
def test_the_sums_of_a_large_image_are_exact(value):
    image = np.full((1, 700, 900, 1), value, np.uint8)
    assert (area_resize(image, 84) == value).all()
