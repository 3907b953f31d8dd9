"""What DropBlock leaves of feature maps, and when."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import FunctionalLearner, resnet12
from ml_lstm.learners.drop_block import DropBlock
from ml_lstm.learners.randomness import meta_training, seed_states
from ml_lstm.methods import MAML

ONES = tf.ones([64, 9, 8, 5])


def dropped(layer, images=ONES, step=0):
    with meta_training(tf.constant(step)), keras.StatelessScope(seed_states(layer)):
        return layer(images, training=True).numpy()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_what_is_dropped_is_squares(size):
    zeros = dropped(DropBlock(0.2, size)) == 0
    # A zero lies in at least one square of zeros; the squares' corners are where all of it is zero.
    windows = np.lib.stride_tricks.sliding_window_view(zeros, (size, size), axis=(1, 2)).all(axis=(-2, -1))
    covered = np.zeros_like(zeros)
    for row in range(size):
        for column in range(size):
            covered[:, row : row + windows.shape[1], column : column + windows.shape[2]] |= windows
    np.testing.assert_array_equal(covered, zeros)


@pytest.mark.parametrize(("rate", "size"), [(0.1, 1), (0.1, 2), (0.1, 5), (0.3, 3)])
def test_about_its_rate_is_dropped_and_the_mean_stays(rate, size):
    out = dropped(DropBlock(rate, size))
    # Squares overlap, so a little less than the rate; 23,000 numbers leave the share within 0.02.
    assert 0.75 * rate - 0.02 < np.mean(out == 0) < rate + 0.02
    np.testing.assert_allclose(out.mean(), 1.0, rtol=1e-5)
    assert len(np.unique(out)) == 2


def test_images_and_maps_are_dropped_each_on_its_own():
    zeros = dropped(DropBlock(0.3, 3)) == 0
    assert (zeros[0] != zeros[1]).any()
    assert (zeros[..., 0] != zeros[..., 1]).any()


def test_a_map_smaller_than_the_square_is_dropped_whole():
    out = dropped(DropBlock(0.4, 5), tf.ones([64, 2, 3, 5]))
    zeros = out == 0
    assert 0.3 < zeros.mean() < 0.5
    np.testing.assert_array_equal(zeros, np.broadcast_to(zeros[:, :1, :1], zeros.shape))


def test_outside_of_meta_training_nothing_is_dropped():
    layer = DropBlock(0.5, 2)
    for training in (True, False):
        np.testing.assert_array_equal(layer(ONES, training=training), ONES)
    with meta_training(tf.constant(0)):
        np.testing.assert_array_equal(layer(ONES, training=False), ONES)


@pytest.mark.parametrize("given", [{"rate": 1.0}, {"rate": -0.1}, {"rate": 0.1, "block_size": 0}])
def test_impossible_settings_are_refused(given):
    with pytest.raises(ValueError, match="must be"):
        DropBlock(**given)


def test_it_is_the_same_when_loaded():
    layer = DropBlock.from_config(DropBlock(0.25, 3, name="drop").get_config())
    assert (layer.rate, layer.block_size, layer.name) == (0.25, 3, "drop")


def test_resnet12_drops_in_meta_training_only():
    keras.utils.set_random_seed(0)
    learner = FunctionalLearner(resnet12((32, 32, 3), 5, filters=2, drop_rate=0.3, drop_block_size=2))
    images = tf.random.stateless_normal([4, 32, 32, 3], [0, 1])

    def answer():
        return learner(learner.initial_state(), images, training=True)[0].numpy()

    whole = answer()
    np.testing.assert_array_equal(answer(), whole)
    with meta_training(tf.constant(3)):
        assert np.abs(answer() - whole).max() > 1e-3


def test_a_gradient_that_is_computed_again_drops_in_meta_training_only():
    images, labels = tf.random.stateless_uniform([3, 16, 16, 1], [0, 1]), tf.range(3)
    data = tf.data.Dataset.from_tensors(Episode(images, labels, images, labels))

    def losses(recompute):
        keras.utils.set_random_seed(0)
        x = inputs = keras.Input((16, 16, 1))
        for layer in (keras.layers.Conv2D(4, 3), DropBlock(0.4, 3), keras.layers.Flatten(), keras.layers.Dense(3)):
            x = layer(x)
        method = MAML(keras.Model(inputs, x), Problem((16, 16, 1), 3), inner_steps=2, recompute_inner_steps=recompute)
        method.compile(optimizer=keras.optimizers.SGD(0.0))
        whole = method.evaluate(data, verbose=0)
        with_drops = method.fit(data, verbose=0).history["loss"]
        assert method.evaluate(data, verbose=0) == whole
        return np.array([*whole, *with_drops])

    kept, again = losses(False), losses(True)
    np.testing.assert_allclose(kept, again, rtol=1e-4)
    assert abs(kept[0] - kept[-1]) > 1e-3
