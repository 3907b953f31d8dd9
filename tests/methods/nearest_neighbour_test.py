"""Nearest neighbour among learned features, against NumPy."""

import keras
import numpy as np

from ml_lstm.episode import Problem
from ml_lstm.learners import EpisodicBatchNormalization
from ml_lstm.methods import NearestNeighbour

EPSILON = 1e-3


def normalized_network():
    """A convolution of one pixel and batch norm: few lines of NumPy."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 1), dtype="float64"),
            keras.layers.Conv2D(2, 1, dtype="float64"),
            EpisodicBatchNormalization(epsilon=EPSILON, dtype="float64"),
            keras.layers.Activation("tanh", dtype="float64"),
            keras.layers.Flatten(dtype="float64"),
        ]
    )


def test_logits_are_cosines_of_features_normalised_by_the_support_set():
    keras.utils.set_random_seed(1)
    method = NearestNeighbour(normalized_network(), Problem((4, 4, 1), 3, 7), dtype="float64")
    random = np.random.default_rng(0)
    support, queries = random.uniform(size=(5, 4, 4, 1)), random.uniform(size=(4, 4, 4, 1))
    labels = np.array([1, 0, 1, 2, 2])
    kernel, bias = method.learner.get_weights()[:2]
    convolved = support @ kernel[0, 0] + bias
    mean, variance = convolved.mean((0, 1, 2)), convolved.var((0, 1, 2))

    def features(images):
        normalized = (images @ kernel[0, 0] + bias - mean) / np.sqrt(variance + EPSILON)
        flat = np.tanh(normalized).reshape(len(images), -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    cosines = features(queries) @ features(support).T
    expected = np.stack([cosines[:, labels == label].max(1) for label in range(3)], axis=1)
    np.testing.assert_allclose(method.classify(method.adapt(support, labels), queries), expected, rtol=1e-6)
