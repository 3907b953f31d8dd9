"""Gates of single parameters: which are watched, and that their values are theirs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import SGDCell
from ml_lstm.episode import Episode, Problem
from ml_lstm.errors import UserError
from ml_lstm.evaluation import gate_values
from ml_lstm.learners import conv4
from ml_lstm.methods import MAML, MetaLSTM, PixelNearestNeighbour

SHAPE, WAY = (16, 16, 1), 3
PROBLEM = Problem(SHAPE, WAY)
RANDOM = np.random.default_rng(0)
PICTURES = tf.constant(RANDOM.integers(0, 256, (4, WAY, *SHAPE)).astype("uint8"))


@pytest.fixture
def episodes():
    labels = tf.range(WAY)
    return tf.data.Dataset.from_tensor_slices(PICTURES).map(lambda images: Episode(images, labels, images, labels))


def new_method(**options):
    keras.utils.set_random_seed(0)
    return MetaLSTM(conv4(SHAPE, WAY, filters=2), PROBLEM, inner_steps=2, **options)


@pytest.mark.parametrize("shared_head", [False, True])
def test_each_value_is_that_of_one_parameter_of_the_layer_in_that_episode(episodes, shared_head):
    method = new_method(shared_head=shared_head)
    found = gate_values(method, episodes, seed=1)
    sizes = [sum(v.shape.num_elements() for v in layer.trainable_variables) for layer in method.learner.layers]
    ends = np.cumsum([size for size in sizes if size])
    assert found.layers == [layer.name for layer, size in zip(method.learner.layers, sizes, strict=True) if size]
    assert len(found.layers) == 5
    assert [int(np.searchsorted(ends, place, side="right")) for place in found.parameters] == [0, 1, 2, 3, 4]
    assert found.input_gates.shape == found.forget_gates.shape == (4, 2, 5)
    for number, images in enumerate(PICTURES):
        watched = method.diagnostics(images, tf.range(WAY))
        for gate, name in ((found.input_gates, "input_gate"), (found.forget_gates, "forget_gate")):
            np.testing.assert_allclose(gate[number], watched[name].numpy()[:, found.parameters], rtol=1e-6)


def test_the_seed_decides_which_parameters(episodes):
    method = new_method()
    first, again, other = (gate_values(method, episodes.take(1), seed).parameters for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    "method",
    [
        lambda: MAML(conv4(SHAPE, WAY, filters=2), PROBLEM),
        lambda: new_method(cell=SGDCell()),
        lambda: PixelNearestNeighbour(PROBLEM),
    ],
    ids=["maml", "a rule without gates", "pixels"],
)
def test_a_method_without_gates_is_refused(method, episodes):
    with pytest.raises(UserError, match="meta_lstm with --cell=meta_lstm, complete_lstm or gru has gates"):
        gate_values(method(), episodes)
