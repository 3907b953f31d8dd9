"""A learner without its head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import LEARNERS, conv4, embedding, feature_maps
from ml_lstm.learners.embedding import ends_in_class_head, without_class_head
from tests.learners.kinds import GRAPHS, SHAPE, WAY, functional, layers_called_before, sequential, subclassed


def test_the_head_of_a_learner_is_left_off_and_its_weights_are_shared():
    keras.utils.set_random_seed(0)
    learner = conv4((16, 16, 1), n_way=3, filters=4)
    body, head = embedding(learner), learner.layers[-1]
    images = tf.random.stateless_uniform([6, 16, 16, 1], [1, 2])
    features = body(images)
    assert features.shape == (6, 4)
    np.testing.assert_allclose(features @ head.kernel + head.bias, learner(images), rtol=1e-5, atol=1e-6)
    assert [id(v) for v in body.trainable_variables] == [id(v) for v in learner.trainable_variables[:-2]]


@pytest.mark.parametrize("make", GRAPHS)
def test_the_head_is_left_off_every_kind_of_model_that_says_what_it_is_made_of(make):
    keras.utils.set_random_seed(0)
    learner = make()
    body = embedding(learner)
    *wanted, kernel, bias = learner.trainable_variables
    assert [id(v) for v in body.trainable_variables] == [id(v) for v in wanted]
    images = tf.random.stateless_uniform([6, *SHAPE], [1, 2])
    features = body(images)
    assert features.shape == (6, 4)
    np.testing.assert_allclose(features @ kernel + bias, learner(images), rtol=1e-5, atol=1e-6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(body))
    again.set_weights(body.get_weights())
    np.testing.assert_array_equal(again(images), features)


@pytest.mark.parametrize("make", GRAPHS)
def test_the_last_feature_maps_are_found_in_every_kind_of_model_that_says_what_it_is_made_of(make):
    learner = make()
    maps = feature_maps(learner)
    assert maps.output_shape == (None, *SHAPE[:2], 4)
    assert [id(v) for v in maps.trainable_variables] == [id(v) for v in learner.trainable_variables[:-2]]
    assert feature_maps(maps).output_shape == maps.output_shape


def test_a_subclassed_model_keeps_its_head_and_is_refused():
    with pytest.raises(ValueError, match="is a subclassed model, so its head cannot be removed"):
        embedding(subclassed())
    with pytest.raises(ValueError, match="is a subclassed model, so its head cannot be removed"):
        embedding(keras.Sequential([keras.Input(SHAPE), subclassed()]))
    with pytest.raises(ValueError, match="the part after its feature maps cannot be removed"):
        feature_maps(subclassed())


def test_a_head_that_gives_no_logits_is_refused():
    with pytest.raises(ValueError, match="not in one with activation 'softmax'"):
        embedding(sequential(activation="softmax"))
    with pytest.raises(ValueError, match="gives logits and can be removed, not in Softmax"):
        embedding(keras.Sequential([keras.Input(SHAPE), functional(), keras.layers.Softmax()]))
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match="not in Softmax"):
        embedding(keras.Model(inputs, keras.ops.softmax(keras.layers.Dense(2)(inputs))))


def test_a_model_of_two_inputs_is_refused():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    with pytest.raises(ValueError, match="must have one input and one output, not 2 and 1"):
        embedding(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.add(inputs))))


@pytest.mark.parametrize("make", [functional, sequential, layers_called_before])
def test_a_class_head_is_taken_off_once(make):
    learner = make()
    body = without_class_head(learner, WAY)
    assert body.output_shape == (None, 4)
    assert without_class_head(body, WAY) is body


def test_a_class_head_is_told_by_its_width_or_its_name():
    assert ends_in_class_head(conv4(SHAPE, n_way=20, filters=4), n_way=WAY)
    assert ends_in_class_head(subclassed(), n_way=WAY)
    assert ends_in_class_head(keras.Sequential([keras.Input(SHAPE), functional(), keras.layers.Softmax()]), n_way=WAY)
    assert ends_in_class_head(
        keras.Sequential([keras.Input(SHAPE), functional(), keras.layers.Activation("softmax")]), n_way=WAY
    )
    for features in (sequential(), subclassed(), embedding(functional())):
        assert not ends_in_class_head(features, n_way=WAY + 1)


def test_a_learner_without_a_dense_head_is_refused():
    with pytest.raises(ValueError, match="must end in a Dense layer"):
        embedding(keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Dense(3), keras.layers.Flatten()]))


def test_the_last_feature_maps_of_a_learner_keep_their_place_and_its_weights():
    learner = LEARNERS["conv4_2pool"]((16, 16, 1), n_way=3, filters=4)
    maps = feature_maps(learner)
    assert maps.output_shape == (None, 4, 4, 4)
    assert feature_maps(conv4((16, 16, 1), n_way=3, filters=4)).output_shape == (None, 1, 1, 4)
    assert [id(v) for v in maps.trainable_variables] == [id(v) for v in learner.trainable_variables[:-2]]


def test_a_learner_without_feature_maps_is_refused():
    with pytest.raises(ValueError, match="has no layer with feature maps"):
        feature_maps(keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]))
