"""What a method tells of its inner steps is what happened in them, computed another way."""

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import CELLS
from ml_lstm.episode import Problem
from ml_lstm.learners import EpisodicBatchNormalization, conv4
from ml_lstm.methods import MAML, Calibrated, Calibration, FineTuning, MetaLSTM, PrototypicalNetworks, Reptile

WAY, SHAPE, STEPS = 3, (8, 8, 1), 3
PROBLEM = Problem(SHAPE, WAY, 7, [0.5], [0.3])
RANDOM = np.random.default_rng(0)
SUPPORT = RANDOM.uniform(size=(4, *SHAPE))
LABELS = np.array([0, 1, 1, 2])
COUNTS = np.array(
    [4 / 3, 2 / 3, 2 / 3, 4 / 3]
)  # of each image in the loss: the two of a class as the only one of another
GATED = ("meta_lstm", "complete_lstm", "gru")
LAYERS = {"small": 3 * 3 * 2 + 2, "norm": 4, "head": 2 * 4 * 4 * WAY + WAY}


def learner(dtype="float64"):
    x = inputs = keras.Input(SHAPE, dtype=dtype)
    x = keras.layers.Conv2D(2, 3, strides=2, padding="same", dtype=dtype, name="small")(x)
    x = keras.layers.Activation("tanh", dtype=dtype)(EpisodicBatchNormalization(dtype=dtype, name="norm")(x))
    x = keras.layers.Flatten(dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Dense(WAY, dtype=dtype, name="head")(x))


def new_cell(name):
    options = {"hidden_units": 2, "input_gate_bias": (-2, -1)} if name in GATED else {}
    return CELLS[name](dtype="float64", **options)


def new_method(name, **options):
    keras.utils.set_random_seed(1)
    match name:
        case "maml":
            return MAML(learner(), PROBLEM, inner_steps=STEPS, **options)
        case "reptile":
            return Reptile(learner(), PROBLEM, inner_steps=STEPS, **options)
        case "fine_tuning":
            network = keras.Sequential([*learner().layers[:-1]])
            return FineTuning(network, PROBLEM, inner_steps=STEPS, dtype="float64", **options)
    method = MetaLSTM(learner(), PROBLEM, new_cell(name), inner_steps=STEPS, **options)
    random = np.random.default_rng(2)
    for weight in method.cell.weights:  # gates that differ from one parameter to the next, and from step to step
        weight.assign_add(random.uniform(-0.3, 0.3, weight.shape))
    return method


METHODS = ["maml", "reptile", "fine_tuning", *CELLS]


def loss(method, adaptation):
    """Of the support set, which normalises itself, by an adapted network."""
    logits = method.classify(adaptation, SUPPORT, query_statistics="queries").numpy()
    logits -= logits.max(axis=1, keepdims=True)
    return np.mean(COUNTS * (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(LABELS)), LABELS]))


def adapted(method, steps):
    """What an adaptation is after some of the steps, or all."""
    method.served_inner_steps = steps
    adaptation = method.adapt(SUPPORT, LABELS)
    method.served_inner_steps = STEPS
    return adaptation


@pytest.mark.slow_unless(name=["meta_lstm", "maml", "fine_tuning"])
@pytest.mark.parametrize("batch", [0, 3], ids=["whole", "mini-batches"])
@pytest.mark.parametrize("name", METHODS)
def test_losses_are_those_of_the_network_before_each_step_and_after_the_last(name, batch):
    method = new_method(name, inner_batch_size=batch)
    losses = method.explain(SUPPORT, LABELS)["losses"]
    assert losses.dtype == tf.float32
    expected = [loss(method, adapted(method, steps)) for steps in range(1, STEPS + 1)]
    np.testing.assert_allclose(losses[1:], expected, rtol=1e-5)
    assert losses.shape == (STEPS + 1,)
    if name == "fine_tuning":
        np.testing.assert_allclose(losses[0], np.log(WAY), rtol=1e-6)  # by a head of zeros
    elif not batch:
        np.testing.assert_allclose(losses[:-1], method.diagnostics(SUPPORT, LABELS)["inner_loss"], rtol=1e-6)
    assert len({round(float(value), 9) for value in losses}) == STEPS + 1


def parameters(method):
    """Of the learner before the first step and after each, [T + 1, P]."""
    first = np.concatenate([variable.numpy().ravel() for variable in method.learner.trainable_variables])
    return np.stack([first, *(adapted(method, steps)["parameters"] for steps in range(1, STEPS + 1))])


def gradient(method, values):
    """Of the support set's loss, at some parameters of the learner."""
    variables = method.learner.trainable_variables
    ends = np.cumsum([variable.numpy().size for variable in variables])
    for variable, piece in zip(variables, np.split(values, ends[:-1]), strict=True):
        variable.assign(piece.reshape(variable.shape))
    with keras.StatelessScope(), tf.GradientTape() as tape:
        logits = method.learner(method.normalize(SUPPORT), training=True)
        value = tf.reduce_mean(COUNTS * tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))
    found = tape.gradient(value, [variable.value for variable in variables])
    return np.concatenate([part.numpy().ravel() for part in found])


@pytest.mark.parametrize("name", GATED)
def test_gates_by_layer_are_those_that_took_the_parameters_from_step_to_step(name):
    method = new_method(name)
    explanation = method.explain(SUPPORT, LABELS)
    assert [layer.decode() for layer in explanation["layers"].numpy()] == list(LAYERS)
    watched = method.diagnostics(SUPPORT, LABELS)
    if name == "gru":
        update, reset = watched["update_gate"].numpy(), watched["reset_gate"].numpy()
        gates = update, 1 - update + update * reset
    else:
        gates = watched["input_gate"].numpy(), watched["forget_gate"].numpy()
    path = parameters(method)
    gradients = [gradient(method, values) for values in path[:-1]]
    for step, (before, after) in enumerate(pairwise(path)):
        np.testing.assert_allclose(gates[1][step] * before - gates[0][step] * gradients[step], after, atol=1e-9)
    ends = np.cumsum([0, *LAYERS.values()])
    for told, gate in zip(("input_gates", "forget_gates"), gates, strict=True):
        by_layer = [gate[:, start:end].mean(axis=1) for start, end in pairwise(ends)]
        np.testing.assert_allclose(explanation[told], np.stack(by_layer, axis=1), rtol=1e-5)
        assert explanation[told].dtype == tf.float32
        assert np.ptp(explanation[told]) > 1e-4


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def preprocessed(values, p=10):
    """By Andrychowicz et al. (2016), appendix A, [2, P]."""
    if_large = [np.log(np.maximum(np.abs(values), 1e-300)) / p, np.sign(values)]
    return np.where(np.abs(values) >= np.exp(-p), if_large, [-np.ones_like(values), np.exp(p) * values])


def test_gates_of_each_parameter_are_those_of_the_equations():
    method = new_method("meta_lstm")
    found = [gate.numpy() for gate in method.gates(SUPPORT, LABELS)]
    losses = method.explain(SUPPORT, LABELS)["losses"].numpy().astype(float)
    kernel, recurrent_kernel, bias = method.coordinate_lstm.get_weights()
    input_kernel, input_bias, forget_kernel, forget_bias = method.cell.get_weights()
    theta = parameters(method)[0]
    hidden = memory = np.zeros((2, theta.size))
    i = f = np.zeros(theta.size)
    for step in range(STEPS):
        slope = gradient(method, theta)
        x = np.concatenate([preprocessed(np.full(theta.size, losses[step])), preprocessed(slope)])
        z = np.split(kernel.T @ x + recurrent_kernel.T @ hidden + bias[:, None], 4)
        memory = sigmoid(z[1]) * memory + sigmoid(z[0]) * np.tanh(z[2])
        hidden = sigmoid(z[3]) * np.tanh(memory)
        i = sigmoid(input_kernel @ np.vstack([hidden, theta, i]) + input_bias)
        f = sigmoid(forget_kernel @ np.vstack([hidden, theta, f]) + forget_bias)
        theta = f * theta - i * slope
        np.testing.assert_allclose(found[0][step], i, rtol=1e-5)
        np.testing.assert_allclose(found[1][step], f, rtol=1e-5)
    assert np.ptp(found[0]) > 1e-3 and found[0].shape == (STEPS, sum(LAYERS.values()))


@pytest.mark.parametrize("name", sorted({*METHODS} - {*GATED}))
def test_what_has_no_gates_tells_losses_only(name):
    method = new_method(name)
    assert method.explain(SUPPORT, LABELS).keys() == {"losses"}
    assert name == "fine_tuning" or method.gates(SUPPORT, LABELS) is None


def test_any_number_of_classes_is_told_by_layer_too():
    cell = new_cell("meta_lstm")
    method = MetaLSTM(learner(), PROBLEM, cell, inner_steps=STEPS, shared_head=True)
    explanation = method.explain(RANDOM.uniform(size=(5, *SHAPE)), np.arange(5))
    assert explanation["input_gates"].shape == (STEPS, len(LAYERS))
    np.testing.assert_allclose(explanation["losses"][0], np.log(5), rtol=1e-6)  # by a head that tells none apart


def test_layers_of_a_network_inside_are_named_and_what_is_made_of_layers_is_one():
    inputs = keras.Input(SHAPE)
    outer = keras.Model(inputs, keras.layers.Dense(WAY, name="top")(learner("float32")(inputs)))
    method = MetaLSTM(outer, PROBLEM, inner_steps=1)
    assert method.network.layer_names == [*LAYERS, "top"]
    blocks = conv4((16, 16, 1), WAY, filters=2)
    assert len(MetaLSTM(blocks, Problem((16, 16, 1), WAY)).network.layer_names) == 5


def test_a_calibrated_method_tells_what_the_method_does():
    method = new_method("meta_lstm")
    calibrated = Calibrated(method, Calibration((1, 5), (1.0, 1.0), ((0.0,), (0.0,))))
    for name, value in calibrated.explain(SUPPORT, LABELS).items():
        np.testing.assert_array_equal(value, method.explain(SUPPORT, LABELS)[name])


def test_a_method_without_steps_has_nothing_to_tell():
    network = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2)])
    method = PrototypicalNetworks(network, PROBLEM)
    assert method.served_inner_steps is None
    with pytest.raises(NotImplementedError):
        method.explain(SUPPORT, LABELS)


def test_what_is_told_is_of_the_steps_that_are_served():
    method = new_method("meta_lstm", eval_inner_steps=STEPS + 2)
    for gates in method.gates(SUPPORT, LABELS):
        assert gates.shape == [STEPS + 2, sum(LAYERS.values())]
    told = method.diagnostics(SUPPORT, LABELS)
    assert told["inner_loss"].shape == [STEPS + 2]
    assert len(told) > 1
    assert method.explain(SUPPORT, LABELS)["losses"].shape == [STEPS + 3]
