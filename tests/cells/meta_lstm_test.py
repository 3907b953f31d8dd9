"""The update rule of Ravi & Larochelle, against its equations in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import MetaLSTMCell, MetaLSTMState, UpdateInputs

P, F = 7, 3


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


@pytest.fixture
def random():
    return np.random.default_rng(0)


def built_cell(**arguments):
    cell = MetaLSTMCell(dtype="float64", **arguments)
    cell.build(((F, P), (P,)))
    return cell


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("gate_feedback", ["activation", "logit"])
def test_two_steps_match_the_equations(gate_feedback, graph, random):
    cell = built_cell(gate_feedback=gate_feedback)
    cell.set_weights([random.normal(size=variable.shape) for variable in cell.weights])
    w_i, b_i, w_f, b_f = cell.get_weights()
    call = tf.function(cell) if graph else cell

    theta = random.normal(size=P)
    state = cell.get_initial_state(tf.constant(theta))
    i = f = np.zeros(P)
    for _ in range(2):
        h, gradient = random.normal(size=(F, P)), random.normal(size=P)
        parameters, state = call(UpdateInputs(tf.constant(h), tf.constant(gradient)), state)

        logit_i = np.column_stack([h.T, theta, i]) @ w_i + b_i
        logit_f = np.column_stack([h.T, theta, f]) @ w_f + b_f
        theta = sigmoid(logit_f) * theta - sigmoid(logit_i) * gradient
        i, f = (logit_i, logit_f) if gate_feedback == "logit" else (sigmoid(logit_i), sigmoid(logit_f))

        np.testing.assert_allclose(parameters, theta, rtol=1e-12)
        np.testing.assert_allclose(state.input_gate, i, rtol=1e-12)
        np.testing.assert_allclose(state.forget_gate, f, rtol=1e-12)
        gates = cell.gates(state)
        np.testing.assert_allclose(gates["input_gate"], sigmoid(logit_i), rtol=1e-12)
        np.testing.assert_allclose(gates["forget_gate"], sigmoid(logit_f), rtol=1e-12)


def test_each_coordinate_is_updated_on_its_own(random):
    cell = built_cell()
    inputs = UpdateInputs(*(tf.constant(random.normal(size=shape)) for shape in ((F, P), (P,))))
    state = MetaLSTMState(*(tf.constant(random.uniform(size=P)) for _ in range(3)))
    parameters, _ = cell(inputs, state)
    pick = tf.constant([4, 1])
    some, _ = cell(
        UpdateInputs(*(tf.gather(t, pick, axis=-1) for t in inputs)),
        MetaLSTMState(*(tf.gather(t, pick) for t in state)),
    )
    np.testing.assert_allclose(some, parameters.numpy()[[4, 1]], rtol=1e-12)


def test_starts_as_gradient_descent_at_a_small_rate_with_slight_decay():
    cell = built_cell()
    kernels = np.concatenate([cell.input_kernel.numpy(), cell.forget_kernel.numpy()])
    assert np.abs(kernels).max() <= 0.01 and np.std(kernels) > 0.002
    assert -5 <= cell.input_bias.numpy() <= -4
    assert 4 <= cell.forget_bias.numpy() <= 6


def test_config_round_trip_keeps_every_argument():
    cell = MetaLSTMCell(gate_feedback="logit", input_gate_bias=(-3.0, -2.0), forget_gate_bias=(1.0, 2.0), name="rule")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert again.get_config() == cell.get_config()
    assert again.gate_feedback == "logit" and again.input_gate_bias == (-3.0, -2.0)


def test_a_wrong_argument_is_named_with_its_value():
    with pytest.raises(ValueError, match="'sigmoid'"):
        MetaLSTMCell(gate_feedback="sigmoid")
    with pytest.raises(ValueError, match=r"\(2, 1\)"):
        MetaLSTMCell(input_gate_bias=(2, 1))
