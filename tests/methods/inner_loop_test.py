"""What methods share inside an episode: what an example counts, and orders that do not depend on how one is listed."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.methods.families.inner_loop import balanced_weights, class_mask, mean_cross_entropy, random_order, seed_of

RANDOM = np.random.default_rng(0)


def test_with_even_shots_every_example_counts_one_exactly():
    """So that a run of before there were weights goes on with the same bits."""
    for shots, n_way in ((1, 20), (5, 7), (3, 11)):
        labels = np.repeat(np.arange(n_way), shots).astype("int32")
        weights = balanced_weights(labels, class_mask(tf.constant(labels), n_way))
        np.testing.assert_array_equal(weights, np.ones(shots * n_way))


def test_with_uneven_shots_the_loss_is_the_mean_over_classes_of_the_mean_over_examples():
    labels = np.array([0, 3, 3, 0, 0, 0, 1], "int32")  # no 2, and no 4
    logits = RANDOM.normal(size=(7, 5)).astype("float32")
    losses = -np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))[np.arange(7), labels]
    weights = balanced_weights(labels, class_mask(tf.constant(labels), 5))
    expected = np.mean([losses[labels == label].mean() for label in (0, 1, 3)])
    np.testing.assert_allclose(mean_cross_entropy(labels, logits, weights), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["uint8", "float32", "bool"])
def test_a_random_order_depends_on_the_pictures_and_not_on_how_they_are_listed(kind):
    pixels = RANDOM.integers(0, 256, (6, 4, 4, 1))
    images = {"uint8": pixels.astype("uint8"), "float32": (pixels / 255).astype("float32"), "bool": pixels > 127}[kind]
    labels, features = np.array([1, 0, 1, 2, 0, 1]), pixels.reshape(6, -1).astype("float32")
    order = random_order(features, labels, seed_of(images)).numpy()
    assert sorted(order) == list(range(6))
    for seed in range(4):
        listed = np.random.default_rng(seed).permutation(6)
        again = random_order(features[listed], labels[listed], seed_of(images[listed])).numpy()
        np.testing.assert_array_equal(listed[again], order)


def test_a_seed_is_the_same_of_bytes_and_of_shares():
    pixels = RANDOM.integers(0, 256, (2, 3, 4, 4, 3))
    seeds = seed_of(pixels.astype("uint8"))
    np.testing.assert_array_equal(seeds, pixels.sum((1, 2, 3, 4)))
    np.testing.assert_array_equal(seed_of((pixels / 255).astype("float32")), seeds)
