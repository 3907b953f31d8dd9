"""Nearest neighbour among pixels, against NumPy."""

import numpy as np

from ml_lstm.episode import Problem
from ml_lstm.methods import PixelNearestNeighbour

RANDOM = np.random.default_rng(0)


def test_logits_are_cosines_of_normalised_pixels():
    support, queries = (RANDOM.integers(0, 256, (n, 4, 3, 2)).astype("uint8") for n in (5, 4))
    labels = np.array([1, 0, 1, 2, 2])
    mean, std = np.array([0.6, 0.2]), np.array([0.5, 0.1])
    method = PixelNearestNeighbour(Problem((4, 3, 2), 3, None, mean.tolist(), std.tolist()), centred_pixels=True)
    x, y = (((images / 255 - mean) / std).reshape(len(images), -1) for images in (queries, support))
    cosines = x @ y.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(y, axis=1)
    expected = np.stack([cosines[:, labels == label].max(1) for label in range(3)], axis=1)
    np.testing.assert_allclose(method.classify(method.adapt(support, labels), queries), expected, atol=1e-5)


def test_there_is_nothing_to_train():
    method = PixelNearestNeighbour(Problem((4, 3, 2), 5))
    assert not method.trains
    assert not method.weights
