"""Episodic batch norm, against its definition in NumPy and finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import EpisodicBatchNormalization, FunctionalLearner

MOMENTUM, EPSILON = 0.9, 1e-3


def normalizer(dtype="float32"):
    layer = EpisodicBatchNormalization(MOMENTUM, EPSILON, dtype=dtype)
    model = keras.Sequential([keras.Input((4, 5, 2), dtype=dtype), layer])
    layer.gamma.assign([1.5, -0.5])
    layer.beta.assign([0.2, 3.0])
    return FunctionalLearner(model)


def batch(seed):
    return np.random.default_rng(seed).normal(2.0, 3.0, (3, 4, 5, 2))


def normalized(x, mean, variance):
    return (x - mean) / np.sqrt(variance + EPSILON) * [1.5, -0.5] + [0.2, 3.0]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_a_training_batch_is_normalised_by_its_own_biased_moments(dtype, tolerance):
    learner, x = normalizer(dtype), batch(0)
    y, _ = learner(learner.initial_state(), tf.constant(x, dtype), training=True)
    expected = normalized(x, x.mean((0, 1, 2)), x.var((0, 1, 2)))
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_averages_start_with_the_first_batch_and_favour_the_newest(dtype, tolerance):
    learner = normalizer(dtype)
    state, mean, variance = learner.initial_state(), None, None
    for seed in range(3):
        x = batch(seed)
        _, statistics = learner(state, tf.constant(x, dtype), training=True)
        state = state._replace(statistics=statistics)
        m, v = x.mean((0, 1, 2)), x.var((0, 1, 2))
        mean = m if mean is None else (1 - MOMENTUM) * mean + MOMENTUM * m
        variance = v if variance is None else (1 - MOMENTUM) * variance + MOMENTUM * v
    x = batch(9)
    y, after = learner(state, tf.constant(x, dtype), training=False)
    np.testing.assert_allclose(y, normalized(x, mean, variance), rtol=tolerance, atol=tolerance * 10)
    for before, now in zip(state.statistics, after, strict=True):
        np.testing.assert_array_equal(before, now)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-3), ("float64", 1e-7)])
def test_gradient_flows_through_the_averages(dtype, tolerance):
    learner, x, query = normalizer(dtype), tf.constant(batch(0), dtype), tf.constant(batch(1), dtype)
    weights = tf.constant(batch(2), dtype)

    def loss(support):
        state = learner.initial_state()
        _, statistics = learner(state, support, training=True)
        return tf.reduce_sum(learner(state._replace(statistics=statistics), query, training=False)[0] * weights)

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x)
    direction = tf.constant(batch(3), dtype)
    analytic = tf.reduce_sum(tape.gradient(value, x) * direction)
    step = 1e-2 if dtype == "float32" else 1e-6
    numeric = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    np.testing.assert_allclose(analytic, numeric, rtol=tolerance)


def test_a_momentum_that_is_no_weight_is_refused():
    with pytest.raises(ValueError, match=r"1\.5"):
        EpisodicBatchNormalization(momentum=1.5)
