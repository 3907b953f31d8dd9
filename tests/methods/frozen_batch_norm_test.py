"""Methods by gradients whose batch norm keeps the averages that the network came with."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Episode, Problem
from ml_lstm.errors import UserError
from ml_lstm.learners import conv4, embedding
from ml_lstm.methods import MAML, METHODS, MetaLSTM, PrototypicalNetworks, Reptile
from ml_lstm.runs import CheckpointStore, settings
from ml_lstm.training import take_network

SHAPE, WAY = (16, 16, 1), 3
PROBLEM = Problem(SHAPE, WAY, 7, [0.5], [0.3])
METHODS_BY_GRADIENTS = {
    "maml": MAML,
    "fomaml": METHODS["fomaml"],
    "reptile": Reptile,
    "meta_lstm": lambda *made_of, **options: MetaLSTM(*made_of, MetaLSTMCell(hidden_units=2), **options),
}


def episode(shots=1):
    random = np.random.default_rng(3)
    support, query = (random.integers(0, 256, (WAY * count, *SHAPE)).astype("uint8") for count in (shots, 2))
    labels = [np.repeat(np.arange(WAY), count).astype("int32") for count in (shots, 2)]
    return Episode(*map(tf.constant, (support, labels[0], query, labels[1])))


def metric_method():
    """With averages, scales and shifts that no network starts with."""
    keras.utils.set_random_seed(1)
    method = PrototypicalNetworks(embedding(conv4(SHAPE, WAY, filters=4, centred=True)), PROBLEM)
    random = np.random.default_rng(0)
    for weight in method.learner.weights:
        noise = random.uniform(0.5, 1.5, weight.shape)
        weight.assign(noise if weight.name in ("mean", "variance", "gamma", "beta") else weight * noise)
    return method


def method_by_gradients(name, source, **options):
    keras.utils.set_random_seed(0)
    learner = conv4(SHAPE, WAY, filters=4, centred=True)
    method = METHODS_BY_GRADIENTS[name](learner, PROBLEM, frozen_batch_norm=True, **options)
    take_network(method, {"RUN": source}.get, initial_weights="RUN")
    return method


@pytest.mark.parametrize("name", METHODS_BY_GRADIENTS)
def test_an_image_is_normalised_by_the_averages_that_came_whatever_else_is_asked(name):
    method = method_by_gradients(name, metric_method(), inner_steps=2)
    images, labels, queries, _ = episode()
    adaptation = method.adapt(images, labels)
    answers = method.classify(adaptation, queries)
    np.testing.assert_allclose(method.classify(adaptation, queries, "queries"), answers, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(method.classify(adaptation, queries[:1]), answers[:1], rtol=1e-4, atol=1e-4)


def test_before_any_step_the_features_are_those_of_the_method_that_they_came_from():
    source = metric_method()
    method = method_by_gradients("maml", source)
    images = episode().query_images
    features = keras.Model(method.learner.inputs, method.learner.layers[-1].input)
    mine = features(method.normalize(images), training=True)
    np.testing.assert_allclose(mine, source.embed(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shots", [1, 3])
def test_a_step_from_a_shared_head_is_that_of_softmax_regression_on_those_features(shots):
    source, rate = metric_method(), 0.7
    method = method_by_gradients("maml", source, inner_steps=1, inner_learning_rate=rate, shared_head=True)
    images, labels, queries, _ = episode(shots)
    features, query_features = (source.embed(each).numpy() for each in (images, queries))
    kernel, bias = (weight.numpy().mean(axis=-1, keepdims=True) for weight in method.learner.layers[-1].weights)
    kernel, bias = np.repeat(kernel, WAY, axis=1), np.repeat(bias, WAY)
    # Classes that start alike share the probability: the gradient of a mean cross-entropy is (1/K - y) x.
    errors = (np.full((len(features), WAY), 1 / WAY) - np.eye(WAY)[labels.numpy()]) / len(features)
    expected = query_features @ (kernel - rate * features.T @ errors) + bias - rate * errors.sum(axis=0)
    np.testing.assert_allclose(method.classify(method.adapt(images, labels), queries), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow_unless(name=["meta_lstm"])
@pytest.mark.parametrize("name", METHODS_BY_GRADIENTS)
def test_meta_training_moves_the_convolutions_and_leaves_batch_norm_as_it_came(name):
    source = metric_method()
    method = method_by_gradients(name, source, inner_steps=2)
    method.compile(optimizer=keras.optimizers.SGD(0.1))
    before = {weight.path: weight.numpy() for weight in method.learner.weights}
    method.fit(tf.data.Dataset.from_tensors(episode()).batch(1), epochs=1, verbose=0)
    moved = {weight.name for weight in method.learner.weights if not np.array_equal(weight, before[weight.path])}
    assert moved == {"kernel", "bias"}


def test_it_is_told_and_made_again():
    method = method_by_gradients("maml", metric_method(), inner_steps=1)
    again = MAML.from_config(method.get_config())
    assert again.frozen_batch_norm
    assert len(again.trainable_variables) == len(method.trainable_variables) == 10


def test_checkpoints_hold_what_is_frozen_as_there_is_no_other_copy(tmp_path):
    method, images = method_by_gradients("maml", metric_method(), inner_steps=1), episode()
    CheckpointStore(tmp_path, model=method).save(1)
    keras.utils.set_random_seed(9)
    again = MAML(conv4(SHAPE, WAY, filters=4, centred=True), PROBLEM, frozen_batch_norm=True, inner_steps=1)
    CheckpointStore(tmp_path, model=again).restore_newest()
    answers = [each.classify(each.adapt(*images[:2]), images.query_images) for each in (method, again)]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("name", [name for name in METHODS if name in METHODS_BY_GRADIENTS])
def test_a_network_from_chance_has_no_averages_to_keep(name):
    given = {"method": name, "frozen_batch_norm": True}
    with pytest.raises(UserError, match="--initial_weights=RUN"):
        settings.require_averages(settings.complete(given))
    settings.require_averages(settings.complete(given | {"initial_weights": "RUN"}))
    settings.require_averages(settings.complete({"method": name}))
