"""The one rule by which images get another size."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.data.resizing import resize


def resized(images, height, width=None):
    return resize(images, height, width or height).numpy()


RANDOM = np.random.default_rng(0)


def images(*shape):
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def test_a_new_pixel_is_the_mean_of_the_old_ones_that_it_covers():
    image = images(2, 105, 70, 3)
    blocks = image.reshape(2, 35, 3, 35, 2, 3).mean(axis=(2, 4))
    np.testing.assert_array_equal(resized(image, 35), np.rint(blocks))
    # 105 / 28 = 3.75: the first new pixel covers three old ones and three quarters of a fourth; 70 / 28 = 2.5.
    down, along = np.array([1, 1, 1, 0.75]), np.array([1, 1, 0.5])
    corner = np.einsum("hwc,h,w->c", image[0, :4, :3], down, along) / (3.75 * 2.5)
    np.testing.assert_array_equal(resized(image, 28)[0, 0, 0], np.rint(corner))


def test_images_of_that_size_stay_as_they_are():
    image = images(2, 12, 12, 1)
    np.testing.assert_array_equal(resized(image, 12), image)


def test_small_images_are_enlarged_by_linear_interpolation_between_centres():
    image = images(1, 3, 2, 1)
    at = np.clip((np.arange(6) + 0.5) * 3 / 6 - 0.5, 0, 2)
    rows = np.stack([np.interp(at, range(3), column) for column in image[0, :, :, 0].T], axis=1)
    at = np.clip((np.arange(4) + 0.5) * 2 / 4 - 0.5, 0, 1)
    expected = np.stack([np.interp(at, range(2), row) for row in rows])
    np.testing.assert_allclose(resized(image, 6, 4)[0, :, :, 0], expected, atol=0.5)


def test_an_axis_may_shrink_while_the_other_grows():
    image = images(1, 40, 5, 3)
    both = resized(image, 10, 20)
    np.testing.assert_allclose(both, resized(resized(image, 10, 5), 10, 20), atol=1)


def test_a_graph_of_any_size_gives_the_same_numbers():
    image = images(2, 31, 45, 3)
    graph = tf.function(
        resize,
        autograph=False,
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8), *[tf.TensorSpec([], tf.int32)] * 2],
    )
    np.testing.assert_array_equal(graph(image, 20, 60), resized(image, 20, 60))


@pytest.mark.parametrize("value", [0, 255])
def test_the_sums_of_a_large_image_are_exact(value):
    image = np.full((1, 700, 900, 1), value, np.uint8)
    assert (resized(image, 84) == value).all()
