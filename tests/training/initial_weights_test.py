"""A method that starts from the network of another one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Problem
from ml_lstm.learners import EpisodicBatchNormalization, averages, conv4, embedding, feature_maps
from ml_lstm.methods import MAML, METHODS, MetaBaseline, MetaLSTM, RelationNetwork, SimpleShot
from ml_lstm.options import target
from ml_lstm.training import take_network

SHAPE = (16, 16, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, *SHAPE)).astype("uint8")
LABELS = np.array([0, 1, 2, 0, 1, 2])


def new_method(name, seed=0, n_way=3, filters=4):
    keras.utils.set_random_seed(seed)
    network = target(METHODS[name]).body_of(conv4(SHAPE, n_way, filters=filters))
    more = [MetaLSTMCell(hidden_units=2)] if name == "meta_lstm" else []
    return METHODS[name](network, Problem(SHAPE, n_way, 7, [0.5], [0.3]), *more)


def trained(name, **options):
    """What it was trained to does not matter: every weight is another one than in a new method."""
    method = new_method(name, seed=1, **options)
    for weight in method.weights:
        weight.assign(weight + 0.25)
    return method


def take(method, source):
    return take_network(method, {"RUN": source}.get, initial_weights="RUN")


@pytest.mark.parametrize("source", ["fine_tuning", "simple_shot", "maml", "relation", "meta_lstm", "mann"])
@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("meta_baseline", ["temperature"]),
        ("ridge_regression", ["log_ridge", "scale", "offset"]),
        ("simple_shot", ["joint_head"]),
        ("relation", ["relation_module"]),
        ("prototypical", []),
    ],
)
def test_the_network_is_taken_from_any_method_and_the_methods_own_weights_are_left(source, name, own):
    method, source = new_method(name), trained(source)
    before = {weight.path: weight.numpy() for weight in method.weights}
    left = take(method, source)
    assert [label.rstrip("_0123456789") for label in left] == own
    taken = {id(weight) for weight in method.learner.weights}
    for mine, theirs in zip(method.learner.weights, source.learner.weights, strict=False):
        np.testing.assert_array_equal(mine, theirs)
    for weight in method.weights:
        if id(weight) not in taken:
            np.testing.assert_array_equal(weight, before[weight.path])


def test_features_are_those_of_the_other_method():
    source = trained("simple_shot")
    method = new_method("meta_baseline")
    assert np.abs(method.embed(IMAGES) - source.embed(IMAGES)).max() > 0.1
    take(method, source)
    np.testing.assert_array_equal(method.embed(IMAGES), source.embed(IMAGES))


def test_averages_kept_over_training_are_not_for_those_that_start_anew_in_each_episode():
    method, source = new_method("maml"), trained("simple_shot")
    take(method, source)
    start = [average.numpy() for average in averages(new_method("maml").learner)]
    for average, expected in zip(averages(method.learner), start, strict=True):
        np.testing.assert_array_equal(average, expected)
    assert np.abs(averages(source.learner)[0] - start[0]).max() > 0


@pytest.mark.parametrize(("n_way", "left"), [(3, []), (5, ["head"])])
def test_a_class_head_is_taken_where_it_fits(n_way, left):
    method, source = new_method("maml"), trained("meta_lstm", n_way=n_way)
    head = method.learner.get_layer("head").get_weights()
    assert take(method, source) == left
    expected = head if left else source.learner.get_layer("head").get_weights()
    for mine, theirs in zip(method.learner.get_layer("head").get_weights(), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert isinstance(method, MAML) and isinstance(source, MetaLSTM)


def sequential(*last):
    convolution = keras.layers.Conv2D(4, 3, name="convolution")
    layers = [keras.Input(SHAPE), convolution, EpisodicBatchNormalization(), keras.layers.Flatten()]
    return keras.Sequential([*layers, *last])


def test_a_method_may_leave_out_the_last_layers():
    problem = Problem(SHAPE, 3, 7)
    source = RelationNetwork(feature_maps(sequential(keras.layers.Dense(8), keras.layers.Dense(3))), problem)
    features = keras.layers.Dense(8, name="features")
    method = SimpleShot(embedding(sequential(features, keras.layers.Dense(3))), problem)
    assert take(method, source) == ["features", "joint_head"]
    np.testing.assert_array_equal(
        method.learner.get_layer("convolution").kernel, source.learner.get_layer("convolution").kernel
    )


def test_what_is_frozen_is_taken_too():
    problem = Problem(SHAPE, 3, 7)
    networks = [sequential(keras.layers.Dense(8)) for _ in range(2)]
    for network in networks:
        network.layers[0].trainable = False
    method, source = (MetaBaseline(network, problem) for network in networks)
    assert take(method, source) == ["temperature"]
    np.testing.assert_array_equal(method.embed(IMAGES), source.embed(IMAGES))


def test_another_network_is_refused_with_what_differs_and_nothing_is_taken():
    method = new_method("meta_baseline", filters=8)
    before = method.get_weights()
    with pytest.raises(ValueError, match=r"kernel is 3x3x1x8, there .*kernel is 3x3x1x4"):
        take(method, trained("simple_shot"))
    for weight, value in zip(method.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_unasked_nothing_is_taken():
    method = new_method("meta_baseline")
    before = method.get_weights()
    assert "temperature" in take_network(method, {}.__getitem__)
    for value, expected in zip(method.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_an_adaptation_is_computed_by_what_was_taken():
    source = trained("prototypical")
    method = new_method("prototypical")
    take(method, source)
    answers = [tf.nn.softmax(found.classify(found.adapt(IMAGES, LABELS), IMAGES)) for found in (method, source)]
    np.testing.assert_array_equal(*answers)
