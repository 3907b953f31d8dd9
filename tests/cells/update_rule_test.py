"""What every update rule promises, whatever its equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import CELLS, UpdateInputs

P, F = 7, 4


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture(params=CELLS)
def cell(request):
    keras.utils.set_random_seed(0)
    cell = CELLS[request.param](dtype="float64")
    assert cell.weights == []
    cell.build(((F, P), (P,)))
    return cell


def first_step(cell, theta, gradient, features):
    state = cell.get_initial_state(tf.constant(theta))
    return cell(UpdateInputs(tf.constant(features), tf.constant(gradient)), state)


def test_the_state_is_a_named_tuple_of_coordinates_with_the_parameters_first(cell, random):
    theta = random.normal(size=P)
    start = cell.get_initial_state(tf.constant(theta))
    parameters, state = first_step(cell, theta, random.normal(size=P), random.uniform(-1, 1, (F, P)))
    for each, expected in ((start, theta), (state, parameters)):
        assert type(each) is type(cell.state_size) and each._fields[0] == "parameters"
        np.testing.assert_array_equal(each.parameters, expected)
        assert [tensor.shape for tensor in each] == [(P,)] * len(cell.state_size)
    for values in cell.gates(state).values():
        assert values.shape == (P,)


@pytest.mark.parametrize("sign", [-1, 1])
def test_starts_as_gradient_descent_at_a_small_rate(sign, cell, random):
    gradient = np.full(P, float(sign))
    parameters, _ = first_step(cell, np.zeros(P), gradient, random.uniform(-1, 1, (F, P)))
    rates = -parameters.numpy() / gradient
    assert rates.min() > 0.005 and rates.max() < 0.02  # sigmoid(-5) is 0.0067, sigmoid(-4) is 0.018


def test_starts_with_slight_decay_at_most(cell, random):
    theta = random.normal(size=P)
    parameters, _ = first_step(cell, theta, np.zeros(P), random.uniform(-1, 1, (F, P)))
    np.testing.assert_allclose(parameters, theta, rtol=0.02, atol=1e-3)  # sigmoid(4) is 0.982


def test_each_coordinate_is_updated_on_its_own(cell, random):
    theta, gradient, features = random.normal(size=P), random.normal(size=P), random.normal(size=(F, P))
    parameters, state = first_step(cell, theta, gradient, features)
    changed = [3, 5]
    for values in (theta, gradient, features):
        values[..., changed] += 1.0
    after, after_state = first_step(cell, theta, gradient, features)
    others = np.setdiff1d(np.arange(P), changed)
    assert np.all(after.numpy()[changed] != parameters.numpy()[changed])
    for tensor, before in zip(after_state, state, strict=True):
        np.testing.assert_allclose(tensor.numpy()[others], before.numpy()[others], rtol=1e-12)


def test_config_round_trip_keeps_every_argument(cell):
    arguments = {name: value for name, value in cell.get_config().items() if name.endswith(("bias", "rate"))}
    assert arguments
    other = {name: 0.5 if name.endswith("rate") else (-3.0, -2.0) for name in arguments}
    cell = type(cell)(**other, name="rule")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert type(again) is type(cell)
    assert again.get_config() == cell.get_config()
    assert {name: getattr(again, name) for name in arguments} == other


def test_a_wrong_argument_is_named_with_its_value(cell):
    for name in cell.get_config():
        if name.endswith("bias"):
            with pytest.raises(ValueError, match=rf"{name} .*\(2, 1\)"):
                type(cell)(**{name: (2, 1)})
        if name.endswith("rate"):
            for value in (0, -0.1, float("inf"), float("nan")):
                with pytest.raises(ValueError, match=f"{name} .*{value}"):
                    type(cell)(**{name: value})
