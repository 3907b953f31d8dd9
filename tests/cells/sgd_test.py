"""Gradient descent with learned step sizes, against its equations in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import MetaSGDCell, SGDCell, UpdateInputs

P = 7


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("cell_class", [SGDCell, MetaSGDCell])
def test_two_steps_match_the_equations_and_need_no_features(cell_class, graph):
    random = np.random.default_rng(0)
    cell = cell_class(dtype="float64")
    cell.build(((P, 4), (P,)))
    alpha = random.normal(size=cell.weights[0].shape)
    assert alpha.shape == (() if cell_class is SGDCell else (P,))
    cell.set_weights([alpha])
    call = tf.function(cell) if graph else cell

    theta = random.normal(size=P)
    state = cell.get_initial_state(tf.constant(theta))
    for _ in range(2):
        gradient = random.normal(size=P)
        parameters, state = call(UpdateInputs(None, tf.constant(gradient)), state)
        theta = theta - alpha * gradient
        np.testing.assert_allclose(parameters, theta, rtol=1e-12)
        np.testing.assert_allclose(state.parameters, theta, rtol=1e-12)
        np.testing.assert_array_equal(cell.gates(state)["learning_rate"], np.broadcast_to(alpha, P))


def test_every_step_size_starts_from_the_same_number():
    for cell in (SGDCell(cell_learning_rate=0.25), MetaSGDCell(cell_learning_rate=0.25)):
        cell.build(((P, 4), (P,)))
        np.testing.assert_array_equal(cell.weights[0], np.full(cell.weights[0].shape, 0.25))


def test_step_sizes_are_spread_to_the_coordinates_of_an_episode():
    cell = MetaSGDCell(dtype="float64")
    cell.build(((3, 4), (3,)))
    cell.set_weights([np.array([1.0, 2.0, 3.0])])
    state = cell.get_initial_state(tf.zeros([5], tf.float64), spread=lambda each: tf.gather(each, [0, 1, 1, 2, 2]))
    np.testing.assert_array_equal(state.learning_rates, [1, 2, 2, 3, 3])
    parameters, _ = cell(UpdateInputs(None, tf.ones([5], tf.float64)), state)
    np.testing.assert_array_equal(parameters, [-1, -2, -2, -3, -3])
