"""Where networks can be taken apart, and which part of one nothing changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import FunctionalLearner
from ml_lstm.learners.freezing import frozen_weights, joints, last_block, split_at_frozen
from ml_lstm.learners.structure import symbolic_calls
from tests.learners.kinds import SHAPE, functional, sequential, subclassed

IMAGES = tf.random.stateless_uniform([6, *SHAPE], [1, 2])


def residual():
    """Stem, two residual blocks, a last convolution and a head: 13 calls."""
    x = inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem")(x)
    for block in ("first", "second"):
        inside = keras.layers.Conv2D(4, 3, padding="same", name=f"{block}_1")(x)
        inside = keras.layers.BatchNormalization(name=f"{block}_norm")(inside)
        x = keras.layers.Add(name=f"{block}_sum")([keras.layers.Conv2D(4, 1, name=f"{block}_shortcut")(x), inside])
    x = keras.layers.Conv2D(8, 1, name="last")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


def test_a_network_hangs_together_by_one_tensor_between_its_blocks():
    images, calls = symbolic_calls(residual())
    names = [call.layer.name for call in calls]
    before = {names[place] if place < len(names) else "end" for place in joints(images, calls)}
    assert before == {"stem", names[1], names[5], "last", "mean", "head", "end"}
    assert {names[1], names[5]} <= {"first_1", "first_shortcut", "second_1", "second_shortcut"}


def test_the_last_block_begins_where_the_last_branches_part():
    images, calls = symbolic_calls(residual())
    later = {call.layer.name for call in calls[last_block(images, calls) :]}
    assert later == {"second_1", "second_norm", "second_shortcut", "second_sum", "last", "mean", "head"}


def test_without_branches_the_last_block_is_what_has_the_last_maps_size():
    layers = [
        keras.layers.Conv2D(2, 3, padding="same"),
        keras.layers.MaxPool2D(),
        keras.layers.Conv2D(2, 3, padding="same", name="begins"),
        keras.layers.ReLU(),
        keras.layers.Conv2D(2, 3, padding="same"),
        keras.layers.MaxPool2D(),
        keras.layers.Flatten(),
    ]
    images, calls = symbolic_calls(keras.Sequential([keras.Input(SHAPE), *layers]))
    assert calls[last_block(images, calls)].layer.name == "begins"


def frozen_until(name):
    model = residual()
    for layer in model.layers:
        if layer.name == name:
            break
        layer.trainable = False
    return model


@pytest.mark.parametrize(
    ("first_trained", "shape"),
    [("second_1", (16, 16, 4)), ("last", (16, 16, 4)), ("head", (8,))],
)
def test_what_is_frozen_is_run_by_itself_with_the_same_outcome(first_trained, shape):
    model = frozen_until(first_trained)
    first, rest = split_at_frozen(model)
    assert first.output.shape[1:] == shape
    assert not first.trainable_variables
    assert {id(v) for v in rest.trainable_variables} == {id(v) for v in model.trainable_variables}
    np.testing.assert_allclose(rest(first(IMAGES)), model(IMAGES), rtol=1e-5, atol=1e-6)
    learner = FunctionalLearner(model)
    state = learner.initial_state()
    begun = learner.begin(IMAGES)
    assert begun.shape[1:] == shape
    for training in (True, False):
        np.testing.assert_array_equal(learner.finish(state, begun, training)[0], learner(state, IMAGES, training)[0])


def test_a_frozen_layer_behind_one_that_is_not_is_run_each_time():
    model = frozen_until("second_1")
    model.get_layer("stem").trainable = True
    assert split_at_frozen(model)[0] is None


@pytest.mark.parametrize(
    "layer", [keras.layers.Dropout(0.5), keras.layers.BatchNormalization(center=False, scale=False)]
)
def test_a_layer_without_weights_that_training_changes_is_not_run_once(layer):
    convolution = keras.layers.Conv2D(2, 3, trainable=False)
    rest = [keras.layers.Flatten(), keras.layers.Dense(3)]
    first, _ = split_at_frozen(keras.Sequential([keras.Input(SHAPE), convolution, layer, *rest]))
    assert first.output.shape[1:] == (14, 14, 2)
    np.testing.assert_array_equal(first(IMAGES, training=True), convolution(IMAGES))


@pytest.mark.parametrize("kind", [functional, sequential, subclassed])
def test_a_network_with_nothing_frozen_in_front_stays_whole(kind):
    model = kind()
    first, rest = split_at_frozen(model)
    assert first is None
    assert rest is model


def test_a_network_that_is_frozen_throughout_leaves_nothing_for_the_rest():
    model = residual()
    model.trainable = False
    first, rest = split_at_frozen(model)
    assert rest is None
    np.testing.assert_array_equal(first(IMAGES), model(IMAGES))
    learner = FunctionalLearner(model, may_be_frozen=True)
    output, statistics = learner(learner.initial_state(), IMAGES, training=True)
    np.testing.assert_allclose(output, model(IMAGES), rtol=1e-5, atol=1e-6)
    assert statistics == ()


def test_frozen_weights_are_what_nothing_changes():
    model = frozen_until("second_1")
    model.get_layer("first_norm").trainable = True
    names = {variable.path for variable in frozen_weights(model)}
    assert names == {
        f"{layer}/{part}" for layer in ("stem", "first_1", "first_shortcut") for part in ("kernel", "bias")
    }
