"""Meta-Baseline, against its equation in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.methods import MetaBaseline

FEATURES, WAY = 6, 3
RANDOM = np.random.default_rng(0)
LABELS, QUERY_LABELS = np.array([2, 0, 2, 1, 0]), np.array([0, 1, 2, 1])
SUPPORT, QUERIES = RANDOM.uniform(size=(5, 1, FEATURES, 1)), RANDOM.uniform(size=(4, 1, FEATURES, 1))
S, Q = SUPPORT.reshape(5, FEATURES), QUERIES.reshape(4, FEATURES)


def new_method(**options):
    layers = [keras.layers.Flatten(dtype="float64")]
    learner = keras.Sequential([keras.Input((1, FEATURES, 1), dtype="float64"), *layers])
    return MetaBaseline(learner, Problem((1, FEATURES, 1), WAY), dtype="float64", **options)


@pytest.mark.parametrize("temperature", [10.0, 3.0])
def test_logits_are_cosines_to_the_means_of_the_classes_times_a_temperature(temperature):
    method = new_method() if temperature == 10 else new_method(initial_temperature=temperature)
    means = np.stack([S[c == LABELS].mean(0) for c in range(WAY)])
    cosines = (Q @ means.T) / np.outer(np.linalg.norm(Q, axis=1), np.linalg.norm(means, axis=1))
    logits = method.classify(method.adapt(SUPPORT, LABELS), QUERIES)
    np.testing.assert_allclose(logits, temperature * cosines)


def test_the_temperature_is_learned():
    method = new_method()
    method.compile(optimizer=keras.optimizers.SGD(1.0))
    episode = Episode(*(tf.constant(value)[None] for value in (SUPPORT, LABELS, QUERIES, QUERY_LABELS)))

    def loss(temperature):
        method.temperature.assign(temperature)
        return float(method.episode_loss(Episode(*(tensor[0] for tensor in episode)), training=True)[0])

    slope = (loss(10 + 1e-4) - loss(10 - 1e-4)) / 2e-4
    method.temperature.assign(10)
    method.fit(tf.data.Dataset.from_tensors(episode), verbose=0)
    assert float(method.temperature.numpy()) == pytest.approx(10 - slope, rel=1e-6)
    assert abs(slope) > 1e-3


def test_a_temperature_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match=r"initial_temperature must be positive and finite, got 0\."):
        new_method(initial_temperature=0)
