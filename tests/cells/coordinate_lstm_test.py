"""The LSTM over coordinates, against Keras's cell, which has them first and is differentiated automatically."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import CoordinateLSTM
from ml_lstm.cells.coordinate_lstm import rational_tanh

P, F, H, STEPS = 7, 3, 5, 3


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def pair(random):
    """`(ours, Keras's)` in float64 with the same weights."""
    ours = CoordinateLSTM(H, dtype="float64")
    ours.build((F, P))
    theirs = keras.layers.LSTMCell(H, dtype="float64")
    theirs.build((P, F))
    for layer in (ours, theirs):
        layer.set_weights([np.random.default_rng(1).normal(size=weight.shape) for weight in ours.weights])
    return ours, theirs


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_hidden_states_and_every_gradient_are_those_of_keras(graph, pair, random):
    inputs = [tf.constant(random.normal(size=(F, P))) for _ in range(STEPS)]
    read = tf.constant(random.normal(size=(2, STEPS, H, P)))  # how much each h and c counts

    def unroll(layer, transpose):
        turn = tf.transpose if transpose else tf.identity
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            states, total = [turn(part) for part in pair[0].get_initial_state(P)], 0.0
            for step, each in enumerate(inputs):
                hidden, states = layer(turn(each), states)
                np.testing.assert_array_equal(hidden, states[0]) if not graph else None
                total += sum(tf.reduce_sum(read[part, step] * turn(states[part])) for part in (0, 1))
        return total, tape.gradient(total, [*layer.trainable_variables, *inputs])

    ours, theirs = (
        (tf.function(unroll, autograph=False) if graph else unroll)(layer, transpose)
        for layer, transpose in zip(pair, (False, True), strict=True)
    )
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
    for gradient, expected in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12)


def test_starts_with_small_weights_each_drawn_on_its_own():
    layer = CoordinateLSTM(20)
    layer.build((20, P))  # two kernels of one shape
    values = np.concatenate([weight.ravel() for weight in layer.get_weights()])
    assert np.abs(values).max() <= 0.01 and values.std() > 0.004
    assert np.abs(layer.kernel.numpy() - layer.recurrent_kernel.numpy()).min() > 0


def test_config_round_trip_keeps_every_argument():
    layer = CoordinateLSTM(6, name="lstm")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.units == 6


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_rational_tanh_is_tanh_and_never_more_than_one(jit_compile):
    wide = np.concatenate([np.linspace(-12, 12, 200_001), [1e-30, 1e30, -np.inf, np.inf]]).astype("float32")
    found = tf.function(rational_tanh, jit_compile=jit_compile)(tf.constant(wide)).numpy()
    np.testing.assert_allclose(found, np.tanh(wide.astype("float64")), rtol=5e-7)
    assert np.abs(found).max() <= 1.0
    # A loss that is not a number must show.
    assert np.isnan(tf.function(rational_tanh, jit_compile=jit_compile)(tf.constant([np.nan], tf.float32)).numpy()[0])
