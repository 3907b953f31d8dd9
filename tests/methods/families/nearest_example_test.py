"""The best example of each class, against its definition in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.methods.families.inner_loop import MASKED_LOGIT
from ml_lstm.methods.families.nearest_example import nearest_example_logits


def cosine(a, b):
    return np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b))


def test_a_logit_is_the_cosine_to_the_nearest_example_of_the_class():
    random = np.random.default_rng(0)
    queries, examples = random.normal(size=(5, 7)), random.normal(size=(6, 7))
    labels = np.array([2, 0, 2, 2, 3, 0])
    expected = np.full((5, 4), MASKED_LOGIT)
    for row, query in enumerate(queries):
        for example, label in zip(examples, labels, strict=True):
            expected[row, label] = max(expected[row, label], cosine(query, example))
    np.testing.assert_allclose(nearest_example_logits(queries, examples, labels), expected, rtol=1e-12)


def test_lengths_do_not_matter():
    queries, examples = tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 1.0], [1.0, 1.0]])
    logits = nearest_example_logits(queries, examples, tf.constant([0, 1]))
    again = nearest_example_logits(7 * queries, [[0.1], [9.0]] * examples, tf.constant([0, 1]))
    np.testing.assert_allclose(again, logits, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_class_without_example_has_no_probability(dtype):
    examples = tf.cast([[1.0, 0.0], [-1.0, 0.0]], dtype)
    logits = nearest_example_logits(examples, examples, tf.constant([0, 2]))
    probabilities = tf.nn.softmax(logits).numpy()
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
