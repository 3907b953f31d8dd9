"""The learners' convolutions beside Keras's own, with and without batch norm behind."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import EpisodicBatchNormalization, FunctionalLearner
from ml_lstm.learners.convolution import Convolution, NormalizedConvolution


def derivatives(function, tensors):
    """What a function makes of tensors, its gradients, and the gradients of their norm; zeros where there is none."""
    with tf.GradientTape() as second:
        second.watch(tensors)
        with tf.GradientTape() as first:
            first.watch(tensors)
            y = function(*tensors)
            loss = tf.reduce_sum(y**3)
        gradients = first.gradient(loss, tensors, unconnected_gradients="zero")
        norm = tf.add_n([tf.reduce_sum(gradient**2) for gradient in gradients])
    return [y, *gradients, *second.gradient(norm, tensors, unconnected_gradients="zero")]


@pytest.mark.parametrize("arguments", [{}, {"use_bias": False}, {"activation": "relu", "strides": 2}])
def test_it_is_keras_convolution_with_its_gradients_of_both_orders(arguments):
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 6, 7, 2)))
    ours, theirs = (
        layer(4, 3, padding="same", dtype="float64", bias_initializer="random_normal", **arguments)
        for layer in (Convolution, keras.layers.Conv2D)
    )
    ours.build(x.shape)
    theirs.build(x.shape)
    weights = [variable.value for variable in ours.trainable_variables]

    def of(layer):
        return derivatives(lambda x, *weights: layer.stateless_call(weights, [], x)[0], [x, *weights])

    for found, expected in zip(of(ours), of(theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_gradients_to_a_kernel_and_its_bias_are_apart(graphs_run):
    # Of the same tensor, they would become one call, and a slow one.
    layer = Convolution(4, 3, padding="same")
    layer.build((2, 8, 8, 3))

    @tf.function(autograph=False)
    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) ** 3)
        return tape.gradient(loss, [layer.kernel.value, layer.bias.value])

    _, graphs = graphs_run(gradients, tf.ones((2, 8, 8, 3)))
    nodes = [node for graph in graphs for node in graph.node]
    seen = {op: {node.input[-1] for node in nodes if node.op == op} for op in ("Conv2DBackpropFilter", "BiasAddGrad")}
    assert all(seen.values())
    assert not seen["Conv2DBackpropFilter"] & seen["BiasAddGrad"]


# 18 numbers a patch: more than 4 filters, fewer than 20.
@pytest.mark.parametrize("filters", [4, 20])
@pytest.mark.parametrize("arguments", [{}, {"use_bias": False}, {"activation": "relu", "strides": 2}])
@pytest.mark.parametrize("training", [False, True])
def test_a_normalised_one_is_a_convolution_and_batch_norm_with_gradients_of_both_orders(filters, arguments, training):
    rng = np.random.default_rng(1)
    support, query = (tf.constant(rng.normal(size=(5, 6, 7, 2))) for _ in range(2))
    arguments = {"padding": "same", "dtype": "float64"} | arguments
    inputs = keras.Input(support.shape[1:], dtype="float64")
    joined = keras.Model(inputs, NormalizedConvolution(filters, 3, 0.7, **arguments)(inputs))
    outputs = Convolution(filters, 3, **{**arguments, "activation": None})(inputs)
    outputs = EpisodicBatchNormalization(0.7, dtype="float64")(outputs)
    apart = keras.Model(inputs, keras.layers.Activation(arguments.get("activation"), dtype="float64")(outputs))
    shapes = [weight.shape for weight in joined.trainable_variables]
    assert shapes == [weight.shape for weight in apart.trainable_variables]
    parameters = tf.constant(rng.normal(size=sum(np.prod(shape, dtype=int) for shape in shapes)))

    def of(model):
        learner = FunctionalLearner(model)

        def answers(parameters, support, query):
            state = learner.initial_state()._replace(parameters=parameters)
            _, statistics = learner(state, support, training=True)
            _, statistics = learner(state._replace(statistics=statistics), 2 * support, training=True)
            return learner(state._replace(statistics=statistics), query, training=training)[0]

        return derivatives(answers, [parameters, support, query])

    for found, expected in zip(of(joined), of(apart), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("layer", [Convolution(4, 3, padding="same"), NormalizedConvolution(4, 3, 0.8, use_bias=False)])
def test_it_is_made_again_from_its_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_statistics_by_patches_keep_their_digits_far_from_zero():
    # Bright pictures of little contrast, as a microscope gives them.
    pixels = np.random.default_rng(2).normal(0.9, 0.01, size=(6, 20, 20, 3)).astype("float32")
    layer = NormalizedConvolution(32, 3, padding="same")
    layer.build(pixels.shape)
    exact = NormalizedConvolution(32, 3, padding="same", dtype="float64")
    exact.build(pixels.shape)
    exact.set_weights(layer.get_weights())
    found, expected = layer(pixels, training=True), exact(pixels.astype("float64"), training=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(layer.normalization.mean, exact.normalization.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.normalization.variance, exact.normalization.variance, rtol=1e-4, atol=1e-8)


def test_constant_pictures_have_outputs_too():
    layer = NormalizedConvolution(32, 3, padding="valid")
    outputs = layer(np.full((2, 9, 9, 3), 0.7, "float32"), training=True)
    np.testing.assert_allclose(outputs, np.zeros_like(outputs), atol=1e-4)


def test_steps_on_the_same_pictures_share_their_patches(graphs_run):
    layer = NormalizedConvolution(32, 3, padding="same")
    layer.build((None, 20, 20, 3))

    @tf.function(autograph=False)
    def two_steps(pictures):
        kernel, *others = (variable.value for variable in layer.trainable_variables)
        averages = [variable.value for variable in layer.non_trainable_variables]
        for _ in range(2):
            with tf.GradientTape() as tape:
                tape.watch(kernel)
                outputs, _ = layer.stateless_call([kernel, *others], averages, pictures, training=True)
                loss = tf.reduce_sum(outputs**3)
            kernel = kernel - 0.1 * tape.gradient(loss, kernel)
        return kernel

    _, graphs = graphs_run(two_steps, tf.random.normal((4, 20, 20, 3)))
    ran = [node.op for graph in graphs for node in graph.node]
    assert sum("Conv2D" in op for op in ran) == 1
