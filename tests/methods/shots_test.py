"""What a method says does not hang on how often an example is listed."""

import keras
import numpy as np
import pytest

from ml_lstm.episode import Problem
from ml_lstm.methods import METHODS

WAY, SHAPE = 4, (1, 8, 1)
RANDOM = np.random.default_rng(0)
QUERIES = RANDOM.uniform(size=(9, *SHAPE))
METHODS_OF_FEATURES = ("meta_baseline", "nearest_neighbour", "prototypical", "ridge_regression", "simple_shot")


@pytest.fixture(params=METHODS_OF_FEATURES)
def method(request):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(dtype="float64"), keras.layers.Dense(5, dtype="float64")]
    learner = keras.Sequential([keras.Input(SHAPE, dtype="float64"), *layers])
    return METHODS[request.param](learner, Problem(SHAPE, WAY, 7))


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 1, 2, 3] * 5, [3, 0, 0, 1, 2, 0]], ids=["1", "5", "uneven"])
def test_a_support_set_listed_twice_gives_the_same_answers(method, labels):
    labels = np.array(labels)
    support = np.random.default_rng(1).uniform(size=(len(labels), *SHAPE))
    once = method.classify(method.adapt(support, labels), QUERIES).numpy()
    twice = method.classify(method.adapt(np.tile(support, (2, 1, 1, 1)), np.tile(labels, 2)), QUERIES)
    assert np.isfinite(once).all()
    np.testing.assert_allclose(twice, once, rtol=1e-9, atol=1e-12)
