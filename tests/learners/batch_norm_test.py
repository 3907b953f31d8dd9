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


SMALL = (2, 2, 2, 2)


def curvature(dtype, of):
    """Of a loss of batch norm's outputs, averages or both, the second derivative along two directions, by autograd."""
    layer = EpisodicBatchNormalization(MOMENTUM, EPSILON, dtype=dtype)
    layer.build((None, *SMALL[1:]))
    layer.gamma.assign([1.5, -0.5])
    x, first, second, weights = (
        tf.constant(np.random.default_rng(seed).normal(1.0, 2.0, SMALL), dtype) for seed in range(4)
    )

    @tf.function(autograph=False)
    def found():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = of(layer, x, weights)
            slope = tf.reduce_sum(inner.gradient(value, x) * first)
        return tf.reduce_sum(outer.gradient(slope, x) * second)

    def value(at):
        with keras.StatelessScope():
            return of(layer, at, weights).numpy()

    def numeric(step=1e-3):
        corners = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
        parts = (sign * value(x + step * (a * first + b * second)) for a, b, sign in corners)
        return sum(parts) / (4 * step**2)

    with keras.StatelessScope():
        return found().numpy(), numeric


def of_averages(layer, x, weights):
    """What the averages make of other inputs: not linear in either of them."""
    _, mean, variance = layer._normalize(x)
    factor, offset = layer.factor_and_offset(mean, variance)
    return tf.reduce_sum(tf.square(weights * factor + offset))


def of_variance(layer, x, weights):
    return tf.reduce_sum(layer._normalize(x)[2] * tf.constant([1.0, -0.3], x.dtype))


def of_mean(layer, x, weights):
    return tf.reduce_sum(layer._normalize(x)[1] ** 3)


def of_outputs(layer, x, weights):
    return tf.reduce_sum(weights * layer._normalize(x)[0] ** 2)


def of_all(layer, x, weights):
    return of_averages(layer, x, weights) + of_outputs(layer, x, weights)


@pytest.mark.parametrize("of", [of_averages, of_variance, of_mean, of_outputs, of_all])
def test_second_derivatives_are_right_in_single_precision_too(of):
    """The numeric ones are of float64, whose forward pass is plain arithmetic."""
    exact, numeric = curvature("float64", of)
    np.testing.assert_allclose(exact, numeric(), rtol=1e-4)
    single, _ = curvature("float32", of)
    np.testing.assert_allclose(single, exact, rtol=1e-3)


def test_a_momentum_that_is_no_weight_is_refused():
    with pytest.raises(ValueError, match=r"1\.5"):
        EpisodicBatchNormalization(momentum=1.5)
