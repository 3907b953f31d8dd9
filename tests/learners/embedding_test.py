"""A learner without its head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import LEARNERS, conv4, embedding, feature_maps


def test_the_head_of_a_learner_is_left_off_and_its_weights_are_shared():
    keras.utils.set_random_seed(0)
    learner = conv4((16, 16, 1), n_way=3, filters=4)
    body, head = embedding(learner), learner.layers[-1]
    images = tf.random.stateless_uniform([6, 16, 16, 1], [1, 2])
    features = body(images)
    assert features.shape == (6, 4)
    np.testing.assert_allclose(features @ head.kernel + head.bias, learner(images), rtol=1e-5, atol=1e-6)
    assert [id(v) for v in body.trainable_variables] == [id(v) for v in learner.trainable_variables[:-2]]


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
