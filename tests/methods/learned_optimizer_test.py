"""The learned optimizer in compiled blocks of coordinates, against the same without."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM, learned_optimizer
from ml_lstm.methods.meta_lstm import CELLS

WAY, SHAPE = 3, (16, 16, 1)


def pictures(count, seed):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, (1, count, *SHAPE)).astype("uint8"))


EPISODES = Episode(pictures(WAY, 0), tf.range(WAY)[None], pictures(6, 1), tf.constant([[0, 1, 2, 0, 1, 2]]))


def meta_gradient(cell, second_order):
    """Loss and meta-gradient of one episode in a graph, and the types of operations in it."""
    keras.utils.set_random_seed(3)
    rule = CELLS[cell]()
    units = 3 if rule.default_hidden_units else 0
    method = MetaLSTM(conv4(SHAPE, WAY, filters=4), rule, hidden_units=units, inner_steps=3, second_order=second_order)
    random = np.random.default_rng(1)
    for variable in [weight for layer in (method.coordinate_lstm, method.cell) if layer for weight in layer.weights]:
        # Larger than at the start, so that every path shows in the gradient.
        variable.assign_add(random.uniform(-0.1, 0.1, variable.shape))
    method.compile(optimizer=keras.optimizers.Adam(1e-3))
    step = tf.function(method.meta_gradient, autograph=False).get_concrete_function(EPISODES)
    compiled = sum(
        node.attr["_XlaMustCompile"].b
        for function in step.graph.as_graph_def().library.function
        for node in function.node_def
    )
    losses, _, gradients = step(EPISODES)
    return losses.numpy(), [gradient.numpy() for gradient in gradients], compiled


@pytest.mark.parametrize("second_order", [False, True], ids=["first_order", "second_order"])
@pytest.mark.parametrize("cell", CELLS)
def test_blocks_change_nothing_but_the_order_of_sums(cell, second_order, monkeypatch):
    loss, gradients, compiled = meta_gradient(cell, second_order)
    assert compiled == 0  # so few coordinates are one block, and not worth a compiler
    coordinates = sum(gradient.size for gradient in gradients[:18])
    monkeypatch.setattr(learned_optimizer, "_BLOCK_SIZE", 1000)
    block_loss, block_gradients, compiled = meta_gradient(cell, second_order)
    assert coordinates > 400 and (compiled > 0) == CELLS[cell].reads_features
    np.testing.assert_allclose(block_loss, loss, rtol=1e-5)
    largest = max(np.abs(gradient).max() for gradient in gradients)
    for ours, expected in zip(block_gradients, gradients, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * largest)


def test_what_adapts_outside_of_meta_training_needs_no_compiler(monkeypatch):
    monkeypatch.setattr(learned_optimizer, "_BLOCK_SIZE", 500)
    method = MetaLSTM(conv4(SHAPE, WAY, filters=4), hidden_units=3, inner_steps=2)
    adapt = tf.function(method.adapt, autograph=False).get_concrete_function(EPISODES[0][0], EPISODES[1][0])
    assert "_XlaMustCompile" not in str(adapt.graph.as_graph_def())
