"""Keras models as pure functions of a flat vector."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import FunctionalLearner, conv4, embedding
from tests.learners.kinds import KINDS, SHAPE, WAY, head_inside, layers_called_before, sequential, subclassed


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return conv4((16, 16, 1), n_way=3, filters=4)


def test_conv4_has_the_parameters_of_the_paper():
    assert FunctionalLearner(conv4((84, 84, 3), n_way=5)).num_parameters == 32_901


def test_parameters_are_flattened_in_the_order_of_the_trainable_variables(network):
    learner = FunctionalLearner(network)
    expected = np.concatenate([variable.numpy().ravel() for variable in network.trainable_variables])
    np.testing.assert_array_equal(learner.initial_state().parameters, expected)
    for tensor, variable in zip(learner.unflatten(tf.constant(expected)), network.trainable_variables, strict=True):
        np.testing.assert_array_equal(tensor, variable)


@pytest.mark.parametrize(("shared_head", "n_classes"), [(False, 3), (True, 7)])
def test_each_layer_has_its_stretch_of_the_vector(network, shared_head, n_classes):
    learner = FunctionalLearner(network, shared_head)
    stretches, start = {}, 0
    for layer in network.layers:
        size = sum(variable.numpy().size for variable in layer.trainable_variables)
        size = size // 3 * n_classes if layer is network.layers[-1] else size
        if size:
            stretches[layer.name] = np.arange(start, start + size)
        start += size
    vector = np.random.default_rng(0).normal(size=learner.initial_state(n_classes).parameters.shape).astype(np.float32)
    assert len(vector) == start
    assert learner.layer_names == list(stretches)
    coordinates = learner.layer_coordinates(start)
    assert list(coordinates) == list(stretches)
    for name, stretch in stretches.items():
        np.testing.assert_array_equal(coordinates[name], stretch)
    means = [vector[stretch].mean() for stretch in stretches.values()]
    np.testing.assert_allclose(learner.layer_means(tf.constant(vector)), means, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_runs_like_the_model_with_those_weights(network, training):
    learner = FunctionalLearner(network)
    images = tf.random.stateless_uniform([6, 16, 16, 1], [1, 2])
    output, _ = learner(learner.initial_state(), images, training)
    before = network.get_weights()
    np.testing.assert_allclose(output, network(images, training=training), rtol=1e-5, atol=1e-6)
    network.set_weights(before)  # called directly, the model did collect statistics


@pytest.mark.parametrize("make", KINDS)
def test_every_kind_of_model_runs_with_the_weights_that_it_is_given(make):
    """Batch norm, of which a subclassed model does not take `training` itself, at work too."""
    keras.utils.set_random_seed(0)
    model = make()
    learner = FunctionalLearner(model)
    images = tf.random.stateless_uniform([6, *SHAPE], [1, 2])
    state = learner.initial_state()
    doubled = state._replace(parameters=2.0 * state.parameters)
    outputs = {training: learner(doubled, images, training)[0] for training in (False, True)}
    _, statistics = learner(doubled, images, training=True)
    assert len(statistics) == 2
    assert not np.array_equal(statistics[0], state.statistics[0])
    for variable in model.trainable_variables:
        variable.assign(2.0 * variable)
    for training, output in outputs.items():
        np.testing.assert_allclose(output, model(images, training=training), rtol=1e-5, atol=1e-6)
    assert not np.allclose(outputs[False], outputs[True])


def test_layers_inside_a_layer_that_does_not_take_training_are_told_of_it():
    @keras.saving.register_keras_serializable("tests")
    class Block(keras.layers.Layer):
        def build(self, input_shape):
            self.normalization = keras.layers.BatchNormalization()
            self.normalization.build(input_shape)

        def call(self, images):
            return self.normalization(images)

    model = keras.Sequential([keras.Input(SHAPE), Block(), keras.layers.Flatten(), keras.layers.Dense(WAY)])
    learner = FunctionalLearner(model)
    state = learner.initial_state()
    _, statistics = learner(state, tf.random.stateless_uniform([6, *SHAPE], [1, 2]), training=True)
    assert not np.array_equal(statistics[0], state.statistics[0])


@pytest.mark.parametrize("make", [sequential, head_inside, layers_called_before])
def test_a_shared_head_is_found_in_every_kind_of_model_that_says_what_it_is_made_of(make):
    model = make()
    learner = FunctionalLearner(model, shared_head=True)
    *_, kernel, bias = learner.unflatten(learner.initial_state(n_classes=7).parameters)
    assert (kernel.shape, bias.shape) == ((4, 7), (7,))
    images = tf.random.stateless_uniform([6, *SHAPE], [1, 2])
    output, _ = learner(learner.initial_state(n_classes=7), images, training=False)
    *_, own_kernel, own_bias = model.trainable_variables
    own_kernel.assign(tf.repeat(tf.reduce_mean(own_kernel, 1, keepdims=True), WAY, 1))
    own_bias.assign(tf.repeat(tf.reduce_mean(own_bias, 0, keepdims=True), WAY, 0))
    np.testing.assert_allclose(output[:, :WAY], model(images), rtol=1e-5, atol=1e-6)


def test_a_head_that_cannot_be_shared_is_refused():
    for model in (subclassed(), sequential(activation="softmax"), sequential(use_bias=False)):
        with pytest.raises(ValueError, match="shared_head needs a learner that ends in a linear Dense layer with bias"):
            FunctionalLearner(model, shared_head=True)


def test_no_variable_is_written_inside_an_episode(network):
    learner = FunctionalLearner(network)
    before = network.get_weights()
    state = learner.initial_state()
    state = state._replace(parameters=state.parameters * 2.0)
    _, statistics = learner(state, tf.random.stateless_uniform([6, 16, 16, 1], [1, 2]), training=True)
    for value, variable in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(value, variable)
    assert not np.array_equal(statistics[0], state.statistics[0])


def test_statistics_survive_packing(network):
    learner = FunctionalLearner(network)
    _, statistics = learner(learner.initial_state(), tf.random.stateless_uniform([6, 16, 16, 1], [1, 2]), True)
    for tensor, again in zip(statistics, learner.unpack_statistics(learner.pack_statistics(statistics)), strict=True):
        np.testing.assert_array_equal(tensor, again)


def test_without_batch_norm_there_are_no_statistics_to_pack():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(WAY)])
    learner = FunctionalLearner(model)
    packed = learner.pack_statistics(learner.initial_state().statistics)
    assert packed.shape == [0]
    assert learner.unpack_statistics(packed) == ()


def test_the_number_of_classes_may_be_known_at_run_time_only():
    learner = FunctionalLearner(conv4((16, 16, 1), n_way=3, filters=3), shared_head=True)
    unflatten = tf.function(learner.unflatten, input_signature=[tf.TensorSpec([None])])
    for n_classes in (2, 7):
        vector = learner.initial_state(n_classes).parameters
        static, dynamic = learner.unflatten(vector), unflatten(vector)
        assert static[-2].shape == [3, n_classes]
        for one, other in zip(static, dynamic, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_model_that_cannot_be_adapted_is_refused():
    with pytest.raises(ValueError, match="not built"):
        FunctionalLearner(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="no trainable variable"):
        FunctionalLearner(keras.Sequential([keras.Input((2,)), keras.layers.ReLU()]))


def test_a_centred_conv4_has_support_features_of_mean_zero():
    """That of a plain one is far from it, and no fewer parameters are learned."""
    images = tf.random.stateless_uniform([6, 32, 32, 1], [1, 2])
    learners = [conv4((32, 32, 1), n_way=3, filters=4, centred=centred) for centred in (True, False)]
    centred, plain = (embedding(learner)(images, training=True).numpy() for learner in learners)
    np.testing.assert_allclose(centred.reshape(-1, 4).mean(0), 0, atol=1e-5)  # over images and places
    assert plain.reshape(-1, 4).mean(0).min() > 0.1
    assert centred.shape == plain.shape
    assert learners[0].count_params() == learners[1].count_params()


def test_unit_features_are_those_of_a_plain_network_scaled_to_one_length():
    images = tf.random.stateless_uniform([6, 32, 32, 1], [1, 2])
    plain, unit = (conv4((32, 32, 1), n_way=3, filters=4, centred=True, unit_features=unit) for unit in (False, True))
    unit.set_weights(plain.get_weights())
    plain, unit = (embedding(learner)(images, training=True).numpy() for learner in (plain, unit))
    np.testing.assert_allclose(unit, plain / np.sqrt((plain**2).mean(-1, keepdims=True)), rtol=1e-4)


def test_conv4_refuses_images_that_vanish():
    with pytest.raises(ValueError, match="12x16"):
        conv4((12, 16, 1), 5)
