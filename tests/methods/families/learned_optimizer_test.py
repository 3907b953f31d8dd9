"""The learned optimizer in compiled blocks of coordinates, against the same without."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import CELLS
from ml_lstm.episode import Episode, Problem
from ml_lstm.methods import MetaLSTM, without_xla
from ml_lstm.methods.families import learned_optimizer
from ml_lstm.serving.signatures import ServingModule

WAY, SHAPE = 3, (16, 16, 1)


def pictures(count, seed):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, (1, count, *SHAPE)).astype("uint8"))


EPISODES = Episode(pictures(WAY, 0), tf.range(WAY)[None], pictures(6, 1), tf.constant([[0, 1, 2, 0, 1, 2]]))


def new_method(cell, **arguments):
    """On a learner of 771 coordinates that is quick to trace."""
    keras.utils.set_random_seed(3)
    learner = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(WAY)])
    rule = CELLS[cell](**{"hidden_units": 3} if CELLS[cell]().hidden_units else {})
    method = MetaLSTM(learner, Problem(SHAPE, WAY), rule, inner_steps=3, **arguments)
    random = np.random.default_rng(1)
    for variable in [weight for layer in (method.coordinate_lstm, rule) if layer for weight in layer.weights]:
        # Larger than at the start, so that every path shows in the gradient.
        variable.assign_add(random.uniform(-0.1, 0.1, variable.shape))
    method.compile(optimizer=keras.optimizers.Adam(1e-3))
    return method


def compiled_calls(function):
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    return sum(node.attr["_XlaMustCompile"].b for node in nodes)


@pytest.mark.slow_unless(cell=["meta_lstm"])
@pytest.mark.parametrize("second_order", [False, True], ids=["first_order", "second_order"])
@pytest.mark.parametrize("cell", [name for name, kind in CELLS.items() if kind.reads_features])
def test_blocks_change_nothing_but_the_order_of_sums(cell, second_order, monkeypatch):
    method = new_method(cell, second_order=second_order)
    expected_losses, _, expected = method.meta_gradient(EPISODES)  # eagerly, where nothing is compiled
    monkeypatch.setattr(learned_optimizer, "_BLOCK_SIZE", 2500)
    step = tf.function(method.meta_gradient, autograph=False).get_concrete_function(EPISODES)
    assert compiled_calls(step) >= 2 * 3 * 2  # two blocks or more, three steps, there and back
    losses, _, gradients = step(EPISODES)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    largest = max(np.abs(gradient).max() for gradient in expected)
    for gradient, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.parametrize(("cell", "block_size"), [("meta_lstm", 2**18), ("sgd", 500)])
def test_few_coordinates_or_a_rule_without_features_are_not_worth_a_compiler(cell, block_size, monkeypatch):
    monkeypatch.setattr(learned_optimizer, "_BLOCK_SIZE", block_size)
    step = tf.function(new_method(cell).meta_gradient, autograph=False).get_concrete_function(EPISODES)
    assert compiled_calls(step) == 0


def test_adaptation_is_compiled_but_where_it_must_do_without(monkeypatch):
    monkeypatch.setattr(learned_optimizer, "_BLOCK_SIZE", 2500)
    method, (images, labels, *_) = new_method("meta_lstm"), (part[0] for part in EPISODES)
    compiled = tf.function(method.adapt, autograph=False).get_concrete_function(images, labels)
    with without_xla():
        plain = tf.function(method.adapt, autograph=False).get_concrete_function(images, labels)
    assert compiled_calls(compiled) >= 2 * 3
    assert compiled_calls(plain) == 0
    for name, expected in plain(images, labels).items():
        np.testing.assert_allclose(compiled(images, labels)[name], expected, rtol=1e-5, atol=1e-6)


def test_what_a_server_is_given_needs_no_compiler(monkeypatch):
    monkeypatch.setattr(learned_optimizer, "_BLOCK_SIZE", 500)
    functions = ServingModule(new_method("meta_lstm"), SHAPE).functions
    assert [compiled_calls(function) for function in functions.values()] == [0] * len(functions)
