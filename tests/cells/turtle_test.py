"""The stateless network of TURTLE, against its equations in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import TurtleCell, UpdateInputs

P, F = 7, 3


def built_cell(**arguments):
    cell = TurtleCell(dtype="float64", **arguments)
    cell.build(((F, P), (P,)))
    return cell


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("layer_units", [(), (5,), (6, 3, 4)])
def test_two_steps_match_the_equations(layer_units, graph):
    random = np.random.default_rng(0)
    cell = built_cell(layer_units=layer_units)
    cell.set_weights([random.normal(size=variable.shape) for variable in cell.weights])
    alpha, *layers = cell.get_weights()
    assert [kernel.shape[1] for kernel in layers[::2]] == [*layer_units, 1]
    call = tf.function(cell) if graph else cell

    theta = random.normal(size=P)
    state = cell.get_initial_state(tf.constant(theta))
    for _ in range(2):
        x, gradient = random.normal(size=(F, P)), random.normal(size=P)
        parameters, state = call(UpdateInputs(tf.constant(x), tf.constant(gradient)), state)

        proposal = np.column_stack([x.T, gradient])
        for kernel, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
            proposal = np.maximum(proposal @ kernel + bias, 0)
        proposal = (proposal @ layers[-2] + layers[-1])[:, 0]
        theta = theta + alpha * (proposal - gradient)

        np.testing.assert_allclose(parameters, theta, rtol=1e-11)
        np.testing.assert_allclose(state.parameters, theta, rtol=1e-11)
        assert cell.gates(state) == {}


def test_the_published_rule_is_among_those_it_can_learn():
    """alpha = 1 and two more units, which carry the gradient past the ReLU, leave theta + g(x) alone."""
    random = np.random.default_rng(1)
    cell = built_cell(layer_units=(6,))
    w_1, w_2 = random.normal(size=(F + 1, 4)), random.normal(size=(4, 1))
    carry = np.zeros((F + 1, 2))
    carry[-1] = [1, -1]
    cell.set_weights([np.ones(()), np.hstack([w_1, carry]), np.zeros(6), np.vstack([w_2, [[1], [-1]]]), np.zeros(1)])
    theta, x, gradient = random.normal(size=P), random.normal(size=(F, P)), random.normal(size=P)
    state = cell.get_initial_state(tf.constant(theta))
    parameters, _ = cell(UpdateInputs(tf.constant(x), tf.constant(gradient)), state)
    published = np.maximum(np.column_stack([x.T, gradient]) @ w_1, 0) @ w_2
    np.testing.assert_allclose(parameters, theta + published[:, 0], rtol=1e-11)


def test_config_round_trip_keeps_the_layers():
    cell = TurtleCell(layer_units=(5, 3, 2))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert again.layer_units == (5, 3, 2)


def test_a_layer_without_units_is_refused_with_the_value_received():
    with pytest.raises(ValueError, match=r"layer_units .*\(20, 0\)"):
        TurtleCell(layer_units=(20, 0))
