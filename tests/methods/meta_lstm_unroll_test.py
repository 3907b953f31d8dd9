"""The unrolled meta-learner and its meta-gradient, against NumPy and finite differences in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Problem
from ml_lstm.learners import EpisodicBatchNormalization
from ml_lstm.methods import MetaLSTM
from ml_lstm.methods.families.gradient_based import InnerBatch

WAY, SIZE = 3, 4


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def pre(v, p=10.0):
    v = np.asarray(v)
    large = np.abs(v) >= np.exp(-p)
    safe = np.where(large, v, 1.0)
    return np.stack([np.where(large, np.log(np.abs(safe)) / p, -1.0), np.where(large, np.sign(v), np.exp(p) * v)], -1)


class NumpyMetaLSTM:
    """Algorithm 1 of the paper for a linear softmax learner, written from the equations alone."""

    def __init__(self, method):
        w = method.coordinate_lstm.get_weights() if method.coordinate_lstm else None
        self.lstm, self.gates = w, method.cell.get_weights()
        self.kernel, self.bias = method.learner.get_weights()
        self.logit_feedback = method.cell.gate_feedback == "logit"
        self.scale = method.inner_gradient_scale

    def adapt(self, batches):
        """`batches` of (images, labels, what each image counts in the loss)."""
        theta = np.concatenate([self.kernel.ravel(), self.bias])
        hidden = self.lstm[1].shape[0] if self.lstm else 0
        h = c = np.zeros((len(theta), hidden))
        i = f = np.zeros(len(theta))
        w_i, b_i, w_f, b_f = self.gates
        for x, labels, counts in batches:
            kernel, bias = theta[: -self.bias.size].reshape(self.kernel.shape), theta[-self.bias.size :]
            p, y = softmax(x @ kernel + bias), np.eye(WAY)[labels]
            loss = -np.mean(counts * np.log(p[np.arange(len(labels)), labels]))
            d = counts[:, None] * (p - y) / len(labels)
            gradient = self.scale * np.concatenate([(x.T @ d).ravel(), d.sum(0)])
            features = np.concatenate([np.tile(pre(loss), (len(theta), 1)), pre(gradient)], 1)
            if self.lstm:
                z = features @ self.lstm[0] + h @ self.lstm[1] + self.lstm[2]
                z_i, z_f, z_c, z_o = np.split(z, 4, axis=1)  # Keras's order of the gates
                c = sigmoid(z_f) * c + sigmoid(z_i) * np.tanh(z_c)
                features = h = sigmoid(z_o) * np.tanh(c)
            logit_i = np.column_stack([features, theta, i]) @ w_i + b_i
            logit_f = np.column_stack([features, theta, f]) @ w_f + b_f
            theta = sigmoid(logit_f) * theta - sigmoid(logit_i) * gradient
            i, f = (logit_i, logit_f) if self.logit_feedback else (sigmoid(logit_i), sigmoid(logit_f))
        return theta


def linear_learner():
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1), dtype="float64"),
            keras.layers.Flatten(dtype="float64"),
            keras.layers.Dense(WAY, dtype="float64"),
        ]
    )


def smooth_learner():
    """Convolution, batch norm and no kink, so that finite differences are exact to their order."""
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1), dtype="float64"),
            keras.layers.Conv2D(2, 3, padding="same", dtype="float64"),
            EpisodicBatchNormalization(dtype="float64"),
            keras.layers.Activation("tanh", dtype="float64"),
            keras.layers.Flatten(dtype="float64"),
            keras.layers.Dense(WAY, dtype="float64"),
        ]
    )


def method_of(learner, gate_feedback="activation", hidden_units=20, **arguments):
    cell = MetaLSTMCell(gate_feedback=gate_feedback, hidden_units=hidden_units, dtype="float64")
    method = MetaLSTM(learner, Problem((SIZE, SIZE, 1), WAY), cell, dtype="float64", **arguments)
    random = np.random.default_rng(1)
    for variable in method.trainable_variables:
        # Larger weights than at the start, so that every term of the equations shows in the result.
        variable.assign(0.3 * random.normal(size=variable.shape) - (2.0 if variable.name == "input_bias" else 0.0))
    return method


def images(count, seed):
    return np.random.default_rng(seed).uniform(size=(count, SIZE, SIZE, 1))


@pytest.mark.parametrize(
    ("steps", "hidden_units", "gate_feedback", "scale"),
    [(2, 3, "activation", 1.0), (2, 0, "logit", 0.2), (6, 3, "logit", 1.0), (6, 0, "activation", 1.0)],
)
def test_unroll_matches_numpy(steps, hidden_units, gate_feedback, scale):
    method = method_of(
        linear_learner(), gate_feedback, hidden_units=hidden_units, inner_steps=steps, inner_gradient_scale=scale
    )
    x, labels = images(6, 2), np.array([0, 1, 2, 0, 1, 2])
    expected = NumpyMetaLSTM(method).adapt([(x.reshape(6, -1), labels, np.ones(6))] * steps)
    np.testing.assert_allclose(method.adapt(x, labels)["parameters"], expected, rtol=1e-10)


def test_mini_batches_take_the_classes_in_turn():
    method = method_of(linear_learner(), hidden_units=2, inner_steps=4, inner_batch_size=3)
    x, labels = images(7, 2), np.array([2, 2, 2, 0, 0, 1, 1])
    # First examples of classes 0, 1, 2, then second ones, then the third of class 2, and around again.
    order = [3, 5, 0, 4, 6, 1, 2]
    counts = np.array([7 / 9, 7 / 9, 7 / 9, 7 / 6, 7 / 6, 7 / 6, 7 / 6])  # all three of class 2 as the two of another
    batches = [[order[(3 * step + k) % 7] for k in range(3)] for step in range(4)]
    expected = NumpyMetaLSTM(method).adapt([(x[b].reshape(3, -1), labels[b], counts[b]) for b in batches])
    np.testing.assert_allclose(method.adapt(x, labels)["parameters"], expected, rtol=1e-10)


def test_the_support_set_is_enough_when_smaller_than_a_mini_batch():
    method = method_of(linear_learner(), hidden_units=0, inner_steps=2, inner_batch_size=5)
    x, labels = images(3, 2), np.array([0, 1, 2])
    expected = NumpyMetaLSTM(method).adapt([(x.reshape(3, -1), labels, np.ones(3))] * 2)
    adapt = tf.function(
        method.adapt, input_signature=[tf.TensorSpec([None, SIZE, SIZE, 1], "float64"), tf.TensorSpec([None], "int32")]
    )
    np.testing.assert_allclose(adapt(x, labels)["parameters"], expected, rtol=1e-10)


SUPPORT, LABELS = images(3, 3), np.array([0, 1, 2])
QUERIES, QUERY_LABELS = images(6, 4), np.array([0, 1, 2, 0, 1, 2])


def query_loss(method):
    logits = method.classify(method.adapt(SUPPORT, LABELS, training=True), QUERIES, method.training_statistics)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(QUERY_LABELS, logits))


def directional_derivatives(method, loss, step=1e-5):
    """`(by the tape, by central differences)` along one random direction for each variable."""
    with tf.GradientTape() as tape:
        value = loss()
    random, pairs = np.random.default_rng(5), []
    for variable, gradient in zip(
        method.trainable_variables, tape.gradient(value, method.trainable_variables), strict=True
    ):
        start, direction = variable.numpy(), random.normal(size=variable.shape)
        variable.assign(start + step * direction)
        above = loss()
        variable.assign(start - step * direction)
        below = loss()
        variable.assign(start)
        pairs.append((float(tf.reduce_sum(gradient * direction)), float(above - below) / (2 * step)))
    return np.array(pairs)


@pytest.mark.parametrize("shared_head", [False, True])
@pytest.mark.parametrize("query_statistics", ["batch", "support"])
def test_second_order_meta_gradient_matches_differences_of_the_whole_episode(query_statistics, shared_head):
    method = method_of(
        smooth_learner(),
        hidden_units=2,
        inner_steps=3,
        second_order=True,
        query_statistics=query_statistics,
        shared_head=shared_head,
    )
    by_tape, by_difference = directional_derivatives(method, lambda: query_loss(method)).T
    assert np.abs(by_difference).max() > 1e-4
    np.testing.assert_allclose(by_tape, by_difference, rtol=1e-5, atol=1e-8)


def with_constant_gradients(method):
    """Makes `method` repeat the losses and gradients of its present weights whatever the weights become."""
    recorded, real = [], method.inner_gradient

    def record(*arguments):
        recorded.append(real(*arguments))
        return recorded[-1]

    method.inner_gradient = record
    query_loss(method)
    constants = iter(())

    def replay(state, *arguments):
        nonlocal constants
        loss, gradient, _ = next(constants)
        return tf.constant(loss.numpy()), tf.constant(gradient.numpy()), real(state, *arguments)[2]

    method.inner_gradient = replay

    def loss():
        nonlocal constants
        constants = iter(recorded)
        return query_loss(method)

    return loss


@pytest.mark.parametrize("query_statistics", ["batch", "support"])
def test_default_meta_gradient_matches_differences_with_gradient_and_loss_held_constant(query_statistics):
    method = method_of(smooth_learner(), hidden_units=2, inner_steps=3, query_statistics=query_statistics)
    with tf.GradientTape() as tape:
        value = query_loss(method)
    gradients = tape.gradient(value, method.trainable_variables)

    by_tape, by_difference = directional_derivatives(method, with_constant_gradients(method)).T
    np.testing.assert_allclose(by_tape, by_difference, rtol=1e-5, atol=1e-9)

    random = np.random.default_rng(5)  # the same directions once more, for the method as it is
    real = [
        float(tf.reduce_sum(gradient * random.normal(size=variable.shape)))
        for gradient, variable in zip(gradients, method.trainable_variables, strict=True)
    ]
    np.testing.assert_allclose(real, by_difference, rtol=1e-5, atol=1e-9)


def test_no_second_derivative_flows_by_default():
    method = method_of(smooth_learner(), hidden_units=2, inner_steps=3)
    by_tape, by_difference = directional_derivatives(method, lambda: query_loss(method)).T
    assert np.abs(by_tape - by_difference).max() > 1e-3 * np.abs(by_difference).max()

    with tf.GradientTape() as tape:
        state = method.network.initial_state()
        tape.watch(state.parameters)
        loss, gradient, _ = method.inner_gradient(
            state,
            InnerBatch(tf.constant(SUPPORT), tf.constant(LABELS, tf.int32), tf.ones([WAY]), tf.ones([len(LABELS)])),
        )
        both = tf.reduce_sum(gradient) + loss
    assert tape.gradient(both, state.parameters) is None
