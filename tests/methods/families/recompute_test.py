"""A function that is run again for its gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.methods.families.recompute import Recomputed


@pytest.fixture
def layer():
    keras.utils.set_random_seed(0)
    layer = keras.layers.Dense(4, "tanh")
    layer.build((None, 3))
    return layer


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_value_and_gradients_are_those_of_the_function(graph, jit_compile, layer):
    random = np.random.default_rng(0)
    x, y, z = (tf.constant(random.normal(size=(5, width)), tf.float32) for width in (3, 4, 4))

    def function(pair, factor, constant):
        return {"sum": layer(pair[0]) * factor + pair[1], "product": layer(pair[0]) * constant}

    def gradients(call):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            outputs = call((x, y), tf.constant(2.0))
            total = tf.reduce_sum(outputs["sum"] ** 2) + tf.reduce_sum(outputs["product"] ** 3)
        return total, tape.gradient(total, [layer.kernel.value, layer.bias.value, x, y])

    if graph:
        gradients = tf.function(gradients, autograph=False)
    recomputed = Recomputed(function, [layer], jit_compile)
    ours = gradients(lambda *arguments: recomputed(recomputed.weights(), *arguments, constants=(z,)))
    expected = gradients(lambda *arguments: function(*arguments, z))
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-5)
    for gradient, wanted in zip(ours[1], expected[1], strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5)


def test_no_gradient_flows_to_constants(layer):
    recomputed = Recomputed(lambda x, constant: layer(x) * constant, [layer])
    constant = tf.ones([4])
    with tf.GradientTape() as tape:
        tape.watch(constant)
        value = tf.reduce_sum(recomputed(recomputed.weights(), tf.ones([2, 3]), constants=(constant,)))
    assert tape.gradient(value, constant) is None


def test_what_lies_between_is_computed_again_and_not_kept(layer):
    calls = []

    def function(x):
        calls.append(x)
        return layer(x)

    recomputed = Recomputed(function, [layer])
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(recomputed(recomputed.weights(), tf.ones([2, 3])))
    assert len(calls) == 1
    tape.gradient(value, layer.kernel.value)
    assert len(calls) == 2


def test_graph_optimization_does_not_bring_back_what_is_to_be_computed_again(graphs_run):
    x = tf.constant([[0.5, 2.0]])

    def run(function):
        """The gradient of a sum of squares, and how often the graph that TensorFlow ran has a softmax."""

        @tf.function
        def gradient(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = tf.reduce_sum(function(x) ** 2)
            return value, tape.gradient(value, x)

        (_, slope), graphs = graphs_run(gradient, x)
        return slope, sum(node.op == "Softmax" for graph in graphs for node in graph.node)

    slope, times = run(tf.nn.softmax)
    recomputed = Recomputed(tf.nn.softmax, [])
    again, times_again = run(lambda x: recomputed([], x))
    np.testing.assert_allclose(again, slope, rtol=1e-6)
    assert (times, times_again) == (1, 2)
