"""SimpleShot, against scikit-learn's nearest centroids and NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.neighbors import NearestCentroid

from ml_lstm.episode import LabelledBatch, Problem
from ml_lstm.learners import EpisodicBatchNormalization, averages
from ml_lstm.methods import SimpleShot

FEATURES, CLASSES = 6, 4
RANDOM = np.random.default_rng(0)
LABELS = np.array([2, 0, 2, 1, 0, 2])
SUPPORT, QUERIES = RANDOM.uniform(size=(6, 1, FEATURES, 1)), RANDOM.uniform(size=(30, 1, FEATURES, 1))
S, Q = SUPPORT.reshape(6, FEATURES), QUERIES.reshape(30, FEATURES)


def images_are_features():
    return keras.Sequential([keras.Input((1, FEATURES, 1), dtype="float64"), keras.layers.Flatten(dtype="float64")])


def new_method(learner=None, train_classes=CLASSES, **options):
    problem = Problem((1, FEATURES, 1), 3, train_classes)
    return SimpleShot(learner or images_are_features(), problem, dtype="float64", **options)


def transformed(features, transform, centre):
    if transform == "CL2N":
        features = features - centre
    return features if transform == "UN" else features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize("transform", ["CL2N", "L2N", "UN"])
def test_a_query_belongs_to_the_nearest_centroid_of_transformed_features(transform):
    method = new_method(transform=transform)
    base = RANDOM.uniform(size=FEATURES)
    method.base_mean.assign(base)
    method.base_collected.assign(1)
    support, queries = transformed(S, transform, base), transformed(Q, transform, base)
    theirs = NearestCentroid().fit(support, LABELS)
    logits = method.classify(method.adapt(SUPPORT, LABELS), QUERIES).numpy()
    np.testing.assert_array_equal(logits.argmax(1), theirs.predict(queries))
    distances = np.linalg.norm(queries[:, None] - theirs.centroids_, axis=2)
    np.testing.assert_allclose(logits, -(distances**2))


@pytest.mark.parametrize("train_classes", [CLASSES, None])
def test_a_network_not_trained_here_is_centred_by_the_mean_of_the_support_sets_classes(train_classes):
    method = new_method(train_classes=train_classes)
    adaptation = method.adapt(SUPPORT, LABELS)
    centre = np.mean([S[c == LABELS].mean(0) for c in range(3)], axis=0)
    np.testing.assert_allclose(adaptation["centre"], centre)
    absent = method.adapt(SUPPORT[[0, 2, 5]], [2, 2, 2])  # classes 0 and 1 have no part in the mean
    np.testing.assert_allclose(absent["centre"], S[[0, 2, 5]].mean(0))


def test_a_network_without_classes_to_train_on_cannot_be_trained():
    batch = LabelledBatch(tf.constant(SUPPORT), tf.constant(LABELS))
    with pytest.raises(ValueError, match="no number of classes to train on: give it train_classes"):
        new_method(train_classes=None).episode_loss(batch, training=True)


def test_training_moves_the_averages_of_features_and_of_batch_norm_alike():
    layers = [EpisodicBatchNormalization(dtype="float64"), keras.layers.Flatten(dtype="float64")]
    learner = keras.Sequential([keras.Input((1, FEATURES, 1), dtype="float64"), *layers])
    method = new_method(learner, batch_norm_momentum=0.25)
    method.compile(optimizer=keras.optimizers.SGD(0.0))
    batches = RANDOM.uniform(size=(2, 2, 8, 1, FEATURES, 1))  # two meta-batches of two batches
    for images in batches:
        labels = tf.constant(RANDOM.integers(0, CLASSES, (2, 8)), tf.int32)
        method.fit(tf.data.Dataset.from_tensors(LabelledBatch(images, labels)), verbose=0)

    def kept(first, second):
        """The first batch is the average; what a meta-batch's make of it is taken in by their mean."""
        return 0.75 * np.mean(first, axis=0) + 0.25 * np.mean(second, axis=0)

    flat = batches.reshape(2, 2, 8, FEATURES)
    mean, variance = flat.mean((2, 3)), flat.var((2, 3))
    normalized = (flat - mean[..., None, None]) / np.sqrt(variance + layers[0].epsilon)[..., None, None]
    np.testing.assert_allclose(layers[0].mean, [kept(*mean)])
    np.testing.assert_allclose(layers[0].variance, [kept(*variance)])
    np.testing.assert_allclose(method.base_mean, kept(*normalized.mean(2)), atol=1e-12)
    assert method.base_collected.numpy() == 1
    assert {*map(id, averages(method))} < {*map(id, method.kept_averages)}


def test_an_answer_does_not_depend_on_what_normalised_other_images():
    """The network is one function of one image, unlike that of the other jointly trained methods."""
    learner = keras.Sequential(
        [keras.Input((1, FEATURES, 1)), EpisodicBatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    method = SimpleShot(learner, Problem((1, FEATURES, 1), 3), transform="L2N")
    alone = method.adapt(SUPPORT[:1], [0])["centroids"][0]
    np.testing.assert_allclose(method.adapt(SUPPORT[:2], [0, 1])["centroids"][0], alone, rtol=1e-6)
