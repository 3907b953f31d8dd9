"""The update rule in the form of a GRU, against its equations in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import GRUCell, UpdateInputs

P, F = 7, 3


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_two_steps_match_the_equations_in_both_forms(graph):
    random = np.random.default_rng(0)
    cell = GRUCell(dtype="float64")
    cell.build(((F, P), (P,)))
    cell.set_weights([random.normal(size=variable.shape) for variable in cell.weights])
    w_z, b_z, w_r, b_r = cell.get_weights()
    call = tf.function(cell) if graph else cell

    theta = random.normal(size=P)
    state = cell.get_initial_state(tf.constant(theta))
    for _ in range(2):
        x, gradient = random.normal(size=(F, P)), random.normal(size=P)
        parameters, state = call(UpdateInputs(tf.constant(x), tf.constant(gradient)), state)

        seen = np.column_stack([x.T, theta])
        z, r = sigmoid(seen @ w_z + b_z), sigmoid(seen @ w_r + b_r)
        decayed = (1 - z * (1 - r)) * theta - z * gradient
        theta = (1 - z) * theta + z * (r * theta - gradient)

        np.testing.assert_allclose(parameters, theta, rtol=1e-11)
        np.testing.assert_allclose(parameters, decayed, rtol=1e-11)
        gates = cell.gates(state)
        np.testing.assert_allclose(gates["update_gate"], z, rtol=1e-11)
        np.testing.assert_allclose(gates["reset_gate"], r, rtol=1e-11)
