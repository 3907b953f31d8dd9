"""Learners with layers that draw random numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import EpisodicBatchNormalization, FunctionalLearner
from ml_lstm.learners.variables import seed_states

SHAPE = (8, 8, 1)
IMAGES = tf.random.stateless_uniform([6, *SHAPE], [1, 2])
LABELS = tf.constant([0, 1, 2, 0, 1, 2])


def network():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Conv2D(4, 3),
            EpisodicBatchNormalization(),
            keras.layers.SpatialDropout2D(0.3),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3),
        ]
    )


def adapt(model, steps=3):
    """Gradient descent: the adapted parameters, the packed statistics, and the answers to the support set."""
    learner = FunctionalLearner(model)
    state = learner.initial_state()
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(state.parameters)
            logits, statistics = learner(state, IMAGES, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))
        parameters = state.parameters - 0.1 * tape.gradient(loss, state.parameters)
        state = state._replace(parameters=parameters, statistics=statistics)
    packed = learner.pack_statistics(state.statistics)
    state = state._replace(statistics=learner.unpack_statistics(packed))
    return parameters, packed, learner(state, IMAGES, training=False)[0]


@pytest.mark.parametrize("compiled", [False, True])
def test_two_adaptations_are_equal_and_write_no_variable(compiled):
    model = network()
    before = [variable.numpy() for variable in model.variables]
    function = tf.function(lambda: adapt(model), autograph=False) if compiled else lambda: adapt(model)
    for first, second in zip(function(), function(), strict=True):
        np.testing.assert_array_equal(first, second)
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, variable)


def test_an_adaptation_is_the_same_to_the_bit_after_saving(tmp_path):
    model = network()
    model(IMAGES, training=True)  # moves the states of random layers, which are not saved
    model.save(tmp_path / "learner.keras")
    loaded = keras.saving.load_model(tmp_path / "learner.keras")
    for first, second in zip(adapt(model), adapt(loaded), strict=True):
        np.testing.assert_array_equal(first, second)


def test_each_step_and_each_layer_draws_other_numbers():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5), keras.layers.Dropout(0.5)])
    model.add(keras.layers.Dense(64, kernel_initializer="identity"))
    learner = FunctionalLearner(model)
    state, kept = learner.initial_state(), []
    for _ in range(2):
        output, statistics = learner(state, tf.ones([32, 64]), training=True)
        state = state._replace(statistics=statistics)
        kept.append(output.numpy() > 0)
    assert not np.array_equal(*kept)
    assert 0.2 < np.mean(kept) < 0.3  # half of a half: the two layers do not draw the same


def test_states_of_random_layers_are_carried_but_not_kept():
    model = network()
    learner = FunctionalLearner(model)
    state = learner.initial_state()
    _, statistics = learner(state, IMAGES, training=True)
    assert [t.dtype.is_floating for t in statistics] == 3 * [True] + 3 * [False]
    assert all(np.any(old != new) for old, new in zip(state.statistics[3:], statistics[3:], strict=True))
    packed = learner.pack_statistics(statistics)
    assert packed.shape == [4 + 4 + 1]
    for tensor, first in zip(learner.unpack_statistics(packed)[3:], state.statistics[3:], strict=True):
        np.testing.assert_array_equal(tensor, first)


def test_a_model_that_is_called_as_it_is_can_draw_the_same_after_saving(tmp_path):
    """As the methods do that do not adapt weights."""
    model = network()
    model.save(tmp_path / "learner.keras")
    answers = []
    for each in (model, model, keras.saving.load_model(tmp_path / "learner.keras")):
        with keras.StatelessScope(seed_states(each)):
            answers.append(each(IMAGES, training=True))
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_a_model_without_random_layers_has_no_such_state():
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)])
    assert FunctionalLearner(model).initial_state().statistics == ()
    assert FunctionalLearner(model).pack_statistics(()).shape == [0]
