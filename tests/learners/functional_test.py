"""Keras models as pure functions of a flat vector."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import FunctionalLearner, conv4, embedding


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return conv4((16, 16, 1), n_way=3, filters=4)


def test_conv4_has_the_parameters_of_the_paper():
    assert FunctionalLearner(conv4((84, 84, 3), n_way=5)).num_parameters == 32_901


def test_parameters_are_flattened_in_the_order_of_the_trainable_variables(network):
    learner = FunctionalLearner(network)
    expected = np.concatenate([variable.numpy().ravel() for variable in network.trainable_variables])
    np.testing.assert_array_equal(learner.initial_state().parameters, expected)
    for tensor, variable in zip(learner.unflatten(tf.constant(expected)), network.trainable_variables, strict=True):
        np.testing.assert_array_equal(tensor, variable)


@pytest.mark.parametrize("training", [False, True])
def test_runs_like_the_model_with_those_weights(network, training):
    learner = FunctionalLearner(network)
    images = tf.random.stateless_uniform([6, 16, 16, 1], [1, 2])
    output, _ = learner(learner.initial_state(), images, training)
    before = network.get_weights()
    np.testing.assert_allclose(output, network(images, training=training), rtol=1e-5, atol=1e-6)
    network.set_weights(before)  # called directly, the model did collect statistics


def test_no_variable_is_written_inside_an_episode(network):
    learner = FunctionalLearner(network)
    before = network.get_weights()
    state = learner.initial_state()
    state = state._replace(parameters=state.parameters * 2.0)
    _, statistics = learner(state, tf.random.stateless_uniform([6, 16, 16, 1], [1, 2]), training=True)
    for value, variable in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(value, variable)
    assert not np.array_equal(statistics[0], state.statistics[0])


def test_statistics_survive_packing(network):
    learner = FunctionalLearner(network)
    _, statistics = learner(learner.initial_state(), tf.random.stateless_uniform([6, 16, 16, 1], [1, 2]), True)
    for tensor, again in zip(statistics, learner.unpack_statistics(learner.pack_statistics(statistics)), strict=True):
        np.testing.assert_array_equal(tensor, again)


def test_any_keras_model_can_be_the_learner_random_layers_included():
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dropout(0.5, seed=1), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    )
    learner = FunctionalLearner(model)
    output, statistics = learner(learner.initial_state(), tf.ones([4, 8]), training=True)
    assert output.shape == (4, 2)
    again = learner.unpack_statistics(learner.pack_statistics(statistics))
    assert [t.dtype for t in again] == [t.dtype for t in statistics]


def test_a_model_that_cannot_be_adapted_is_refused():
    with pytest.raises(ValueError, match="not built"):
        FunctionalLearner(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="no trainable variable"):
        FunctionalLearner(keras.Sequential([keras.Input((2,)), keras.layers.ReLU()]))


def test_a_centred_conv4_has_support_features_of_mean_zero():
    """That of a plain one is far from it, and no fewer parameters are learned."""
    images = tf.random.stateless_uniform([6, 32, 32, 1], [1, 2])
    learners = [conv4((32, 32, 1), n_way=3, filters=4, centred=centred) for centred in (True, False)]
    centred, plain = (embedding(learner)(images, training=True).numpy() for learner in learners)
    np.testing.assert_allclose(centred.reshape(-1, 4).mean(0), 0, atol=1e-5)  # over images and places
    assert plain.reshape(-1, 4).mean(0).min() > 0.1
    assert centred.shape == plain.shape
    assert learners[0].count_params() == learners[1].count_params()


def test_conv4_refuses_images_that_vanish():
    with pytest.raises(ValueError, match="12x16"):
        conv4((12, 16, 1), 5)
