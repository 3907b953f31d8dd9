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


@pytest.mark.parametrize("arguments", [{}, {"use_bias": False}, {"activation": "relu", "strides": 2}])
@pytest.mark.parametrize("training", [False, True])
def test_a_normalised_one_is_a_convolution_and_batch_norm_with_gradients_of_both_orders(arguments, training):
    rng = np.random.default_rng(1)
    support, query = (tf.constant(rng.normal(size=(5, 6, 7, 2))) for _ in range(2))
    arguments = {"padding": "same", "dtype": "float64"} | arguments
    inputs = keras.Input(support.shape[1:], dtype="float64")
    joined = keras.Model(inputs, NormalizedConvolution(4, 3, 0.7, **arguments)(inputs))
    outputs = Convolution(4, 3, **{**arguments, "activation": None})(inputs)
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
