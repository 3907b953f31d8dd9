"""What methods share inside an episode: what an example counts, and orders that do not depend on how one is listed."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.methods.families.inner_loop import (
    balanced_weights,
    canonical_order,
    class_mask,
    inner_batch_indices,
    inner_batches,
    mask_logits,
    mean_cross_entropy,
    random_order,
    seed_of,
    squared_distances,
    whole_batch,
)

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


def test_a_class_that_the_support_set_lacks_gets_a_probability_of_exactly_zero():
    logits = RANDOM.normal(size=(7, 5), scale=50).astype("float32")
    mask = class_mask(tf.constant([0, 3, 3, 1]), 5)
    np.testing.assert_array_equal(mask, [1, 1, 0, 1, 0])
    masked = mask_logits(logits, mask)
    present = [0, 1, 3]
    np.testing.assert_array_equal(masked.numpy()[:, present], logits[:, present])
    probabilities = tf.nn.softmax(masked).numpy()
    np.testing.assert_array_equal(probabilities[:, [2, 4]], 0)
    np.testing.assert_allclose(probabilities[:, present], tf.nn.softmax(logits[:, present]), rtol=1e-5, atol=1e-7)


def test_squared_distances_are_those_of_numpy():
    rows, others = RANDOM.normal(size=(3, 4)), RANDOM.normal(size=(5, 4))
    expected = [[np.linalg.norm(row - other) ** 2 for other in others] for row in rows]
    np.testing.assert_allclose(squared_distances(tf.constant(rows), tf.constant(others)), expected)


def test_the_canonical_order_is_by_class_then_by_the_sum_of_the_features():
    features = np.array([[5, 0], [1, 1], [0, 9], [3, 0], [2, 5]], "float32")
    labels = np.array([1, 0, 0, 1, 0], "int32")
    assert canonical_order(features, labels).numpy().tolist() == [1, 4, 2, 3, 0]


def test_mini_batches_take_the_classes_in_turn_and_start_again():
    labels = tf.constant([0, 0, 2, 1, 2, 0])
    assert inner_batch_indices(labels, 3, None) == [None] * 3
    assert inner_batch_indices(labels, 2, 6) == inner_batch_indices(labels, 2, 7) == [None] * 2
    taken = [indices.numpy().tolist() for indices in inner_batch_indices(labels, 3, 4)]
    assert taken == [[0, 3, 2, 1], [4, 5, 0, 3], [2, 1, 4, 5]]
    of_any_size = tf.function(
        lambda labels: inner_batch_indices(labels, 2, 4), input_signature=[tf.TensorSpec([None], tf.int32)]
    )
    assert [indices.numpy().tolist() for indices in of_any_size(labels)] == taken[:2]
    assert [indices.numpy().tolist() for indices in of_any_size(labels[:3])] == [[0, 2, 1], [2, 1, 0]]


def test_a_mini_batch_has_its_images_with_their_labels_and_weights():
    labels, images = tf.constant([2, 0, 0, 1, 2, 0]), tf.reshape(tf.range(6.0), [6, 1, 1, 1])
    support = whole_batch(images, labels, 4)
    assert list(inner_batches(support, 2, None)) == [support] * 2
    first, second = inner_batches(support, 2, 4)
    for batch, taken in ((first, [1, 3, 0, 2]), (second, [4, 5, 1, 3])):
        np.testing.assert_array_equal(tf.reshape(batch.images, [-1]), taken)
        np.testing.assert_array_equal(batch.labels, labels.numpy()[taken])
        np.testing.assert_allclose(batch.weights, np.array([1.0, 2 / 3, 2 / 3, 2.0, 1.0, 2 / 3])[taken])
        np.testing.assert_array_equal(batch.mask, [1, 1, 1, 0])
