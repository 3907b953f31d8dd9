"""What cannot be a learner."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import EpisodicBatchNormalization, FunctionalLearner, conv4, embedding, feature_maps
from ml_lstm.learners.requirements import (
    refuse_class_head,
    refuse_unbuilt,
    refuse_wrong_second_derivatives,
    require_features,
    require_logits,
)
from tests.learners.kinds import GRAPHS, KINDS, SHAPE, WAY, Subclassed, functional, sequential, subclassed


@pytest.mark.parametrize("make", KINDS)
def test_every_kind_of_model_that_gives_logits_may_be_adapted(make):
    assert require_logits(make(), SHAPE) == WAY


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "relu"])
@pytest.mark.parametrize("make", KINDS)
def test_a_head_with_an_activation_is_refused_in_every_kind_of_model(make, activation):
    with pytest.raises(ValueError, match=rf"must give logits, but its output goes through '(?i:{activation})'"):
        require_logits(make(activation=activation), SHAPE)


@pytest.mark.parametrize(
    "last", [keras.layers.Softmax(), keras.layers.Activation("softmax"), keras.layers.ReLU(), keras.layers.LeakyReLU()]
)
def test_a_layer_of_activation_after_the_head_is_refused(last):
    with pytest.raises(ValueError, match="must give logits"):
        require_logits(keras.Sequential([keras.Input(SHAPE), functional(), last]), SHAPE)


def test_an_operation_of_activation_after_the_head_is_refused():
    inputs = keras.Input(SHAPE)
    for operation in (keras.ops.softmax, keras.ops.log_softmax):
        with pytest.raises(ValueError, match="must give logits"):
            require_logits(keras.Model(inputs, operation(functional()(inputs))), SHAPE)


def test_layers_after_the_head_that_leave_logits_are_fine():
    inputs = keras.Input(SHAPE)
    as_float = keras.layers.Activation("linear", dtype="float32")
    assert require_logits(keras.Model(inputs, as_float(functional()(inputs))), SHAPE) == WAY
    pooled = [keras.layers.Conv2D(WAY, 3), keras.layers.GlobalAveragePooling2D()]
    assert require_logits(keras.Sequential([inputs, *pooled]), SHAPE) == WAY


def test_feature_maps_are_no_logits():
    with pytest.raises(ValueError, match=r"must be logits \[n, n_way\], got \(None, 16, 16, 4\)"):
        require_logits(feature_maps(functional()), SHAPE)


def test_what_is_not_built_or_no_model_is_refused():
    for check in (refuse_unbuilt, FunctionalLearner, lambda learner: require_features(learner, SHAPE, WAY)):
        with pytest.raises(ValueError, match="is not built"):
            check(keras.Sequential([keras.layers.Dense(2)]))
        with pytest.raises(ValueError, match=r"must be a keras\.Model, got Dense"):
            check(keras.layers.Dense(2))
        uncalled = Subclassed()
        with pytest.warns(UserWarning, match="not being actually built"):
            uncalled.build((None, *SHAPE))
        with pytest.raises(ValueError, match="is not built: call it once on images first"):
            check(uncalled)


def test_a_frozen_model_has_nothing_to_adapt():
    learner = functional()
    learner.trainable = False
    with pytest.raises(ValueError, match="no trainable variable"):
        require_logits(learner, SHAPE)


@pytest.mark.parametrize("make", KINDS)
def test_logits_are_not_taken_for_features(make):
    with pytest.raises(ValueError, match="ends in a class head"):
        require_features(make(), SHAPE, WAY)
    assert require_features(make(), SHAPE, WAY + 1) == (None, WAY)  # a Dense layer of another width


@pytest.mark.parametrize("make", GRAPHS)
def test_a_learner_without_its_head_gives_features(make):
    assert require_features(embedding(make()), SHAPE, WAY) == (None, 4)
    assert require_features(feature_maps(make()), SHAPE, WAY, rank=4) == (None, *SHAPE[:2], 4)


def test_conv4_with_its_head_is_refused_whatever_its_width():
    with pytest.raises(ValueError, match=r"remove it with ml_lstm.learners.embedding.*n_way \(3\)"):
        refuse_class_head(conv4(SHAPE, n_way=20, filters=4), WAY)
    refuse_class_head(embedding(conv4(SHAPE, n_way=20, filters=WAY)), WAY)


def test_features_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"must be feature maps .* ml_lstm.learners.feature_maps removes"):
        require_features(embedding(functional()), SHAPE, WAY, rank=4)
    with pytest.raises(ValueError, match=r"must be features .* ml_lstm.learners.embedding removes"):
        require_features(feature_maps(functional()), SHAPE, WAY)


@pytest.mark.parametrize("make", [functional, sequential, subclassed])
def test_batch_norm_with_wrong_second_derivatives_is_refused(make):
    learner = make()
    with pytest.raises(ValueError, match=r"use ml_lstm\.learners\.EpisodicBatchNormalization instead"):
        refuse_wrong_second_derivatives(learner)
    learner.trainable = False
    refuse_wrong_second_derivatives(learner)
    refuse_wrong_second_derivatives(conv4(SHAPE, WAY, filters=4))


@pytest.mark.parametrize(
    ("kind", "right"), [(keras.layers.BatchNormalization, False), (EpisodicBatchNormalization, True)]
)
def test_second_derivatives_are_wrong_in_what_is_refused_and_right_in_what_is_named_instead(kind, right):
    """Along a line in input space, against differences of the first derivative."""
    layer = kind(dtype="float64")
    layer.build((None, 2, 2, 1))
    x, along = (tf.random.stateless_normal([3, 2, 2, 1], [seed, 0], dtype="float64") for seed in (1, 2))

    def slope(t):
        with tf.GradientTape() as tape:
            tape.watch(t)
            with keras.StatelessScope():
                value = tf.reduce_sum(layer(x + t * along, training=True) ** 3)
        return tape.gradient(value, t)

    t = tf.constant(0.0, "float64")
    with tf.GradientTape() as tape:
        tape.watch(t)
        first = slope(t)
    second = tape.gradient(first, t)
    difference = (slope(t + 1e-5) - slope(t - 1e-5)) / 2e-5
    assert np.isclose(second, difference, rtol=1e-4) == right
