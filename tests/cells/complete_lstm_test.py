"""The Complete-LSTM, against its equations in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import CompleteLSTMCell, UpdateInputs

P, F = 7, 3


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_three_steps_match_the_equations(graph):
    random = np.random.default_rng(0)
    cell = CompleteLSTMCell(dtype="float64")
    cell.build(((F, P), (P,)))
    cell.set_weights([random.normal(size=variable.shape) for variable in cell.weights])
    w_i, b_i, w_f, b_f, w_o, b_o = cell.get_weights()
    call = tf.function(cell) if graph else cell

    theta, h = random.normal(size=P), np.zeros(P)
    state = cell.get_initial_state(tf.constant(theta))
    for _ in range(3):
        x, gradient = random.normal(size=(F, P)), random.normal(size=P)
        parameters, state = call(UpdateInputs(tf.constant(x), tf.constant(gradient)), state)

        seen = np.column_stack([x.T, theta, h])
        i, f, o = sigmoid(seen @ w_i + b_i), sigmoid(seen @ w_f + b_f), sigmoid(seen @ w_o + b_o)
        theta = f * theta - i * gradient
        h = o * np.tanh(theta)

        np.testing.assert_allclose(parameters, theta, rtol=1e-11)
        np.testing.assert_allclose(state.hidden, h, rtol=1e-11)
        gates = cell.gates(state)
        for name, gate in {"input_gate": i, "forget_gate": f, "output_gate": o}.items():
            np.testing.assert_allclose(gates[name], gate, rtol=1e-11)


def test_the_output_gate_starts_half_open():
    cell = CompleteLSTMCell()
    cell.build(((F, P), (P,)))
    assert abs(sigmoid(cell.output_bias.numpy()) - 0.5) < 0.003
