"""The multi-layer perceptron: its equation, its size, and that methods take it."""

import keras
import numpy as np
import pytest

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Problem
from ml_lstm.learners import LEARNERS, embedding
from ml_lstm.methods import MetaLSTM, PrototypicalNetworks

SHAPE, WAY = (16, 16, 1), 3


def test_a_hidden_layer_is_a_relu_of_what_is_below_and_the_head_is_linear():
    model = LEARNERS["mlp"](SHAPE, WAY, units=5, hidden_layers=2)
    images = np.random.default_rng(0).uniform(size=(4, *SHAPE)).astype("float32")
    *hidden, (kernel, bias) = np.array(model.get_weights(), object).reshape(3, 2)
    x = images.reshape(4, -1)
    for each_kernel, each_bias in hidden:
        x = np.maximum(x @ each_kernel + each_bias, 0)
    np.testing.assert_allclose(model(images), x @ kernel + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(embedding(model)(images), x, rtol=1e-4, atol=1e-5)


def test_three_layers_of_64_units_by_default():
    assert LEARNERS["mlp"]((28, 28, 1), 5).count_params() == 784 * 64 + 64 + 64 * 64 + 64 + 64 * 5 + 5


def test_there_must_be_a_hidden_layer():
    with pytest.raises(ValueError, match="hidden_layers must be a whole number, at least 1"):
        LEARNERS["mlp"](SHAPE, WAY, hidden_layers=0)


@pytest.mark.parametrize("kind", [MetaLSTM, PrototypicalNetworks])
def test_methods_adapt_it_and_compare_its_features(kind):
    keras.utils.set_random_seed(0)
    network, problem = LEARNERS["mlp"](SHAPE, WAY, units=5), Problem(SHAPE, WAY)
    if kind is MetaLSTM:
        method = MetaLSTM(network, problem, MetaLSTMCell(hidden_units=0), inner_steps=1)
    else:
        method = PrototypicalNetworks(embedding(network), problem)
    images = np.random.default_rng(1).uniform(size=(WAY, *SHAPE)).astype("float32")
    logits = method.classify(method.adapt(images, np.arange(WAY)), images).numpy()
    assert logits.shape == (WAY, WAY) and np.ptp(logits) > 0
