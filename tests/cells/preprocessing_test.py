"""The preprocessing of gradients and losses, against the formula of Andrychowicz et al. in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import preprocess, update_features
from ml_lstm.cells.preprocessing import NUM_FEATURES


def reference(v, p=10.0):
    if abs(v) >= np.exp(-p):
        return [np.log(abs(v)) / p, np.sign(v)]
    return [-1.0, np.exp(p) * v]


@pytest.mark.parametrize("p", [10.0, 3.0])
def test_matches_the_formula_on_both_branches(p):
    edge = np.exp(-p)
    values = np.array([0.0, edge, -edge, edge * 0.99, -edge * 0.99, 1e-12, -1e-3, 0.5, -7.0, 1e6])
    expected = [reference(v, p) for v in values]
    np.testing.assert_allclose(preprocess(tf.constant(values), p), np.transpose(expected), rtol=1e-12)


def test_gradient_is_finite_at_zero():
    values = tf.constant([0.0, 1e-30, -1e-30, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        features = preprocess(values)
    assert np.isfinite(tape.gradient(features, values)).all()


def test_features_are_the_loss_then_the_gradient_of_each_coordinate():
    gradient = np.array([0.3, -2e-6, 0.0])
    features = update_features(tf.constant(1.7, tf.float64), tf.constant(gradient))
    expected = np.transpose([reference(1.7) + reference(g) for g in gradient])
    np.testing.assert_allclose(features, expected, rtol=1e-12)
    assert len(features) == NUM_FEATURES
