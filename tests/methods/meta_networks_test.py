"""Meta Networks: layer augmentation, gradients as meta information, fast weights and memory, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.learners.augmented import AugmentedConvolutions, flatten
from ml_lstm.methods import MetaNetworks
from ml_lstm.methods.families.inner_loop import random_order, seed_of

SHAPE, WAY = (16, 16, 1), 3
RANDOM = np.random.default_rng(0)


def relu(x):
    return np.maximum(x, 0)


def convolved(image, kernel, bias):
    """3x3, "same", one image [H, W, C]."""
    height, width, _ = image.shape
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    patches = [[padded[i : i + 3, j : j + 3] for j in range(width)] for i in range(height)]
    return np.einsum("ijabc,abcf->ijf", np.array(patches), kernel) + bias


def test_an_augmented_layer_adds_up_what_slow_and_fast_weights_make():
    keras.utils.set_random_seed(0)
    layer = AugmentedConvolutions(filters=2, features=3, blocks=2, dtype="float64")
    layer.build((None, 5, 4, 1))
    slow = [weight.numpy() for weight in layer.slow]
    fast = [RANDOM.normal(size=shape) for shape in layer.shapes]
    images = RANDOM.normal(size=(2, 5, 4, 1))
    expected = []
    for x in images:
        for block in range(2):
            k, b = 2 * block, 2 * block + 1
            x = relu(convolved(x, slow[k], slow[b])) + relu(convolved(x, fast[k], fast[b]))
            height, width, filters = x.shape
            x = x[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2, filters).max((1, 3))
        expected.append(sum(x.ravel() @ weights[-2] + weights[-1] for weights in (slow, fast)))
    flat = flatten([tf.constant(weight) for weight in fast])
    np.testing.assert_allclose(layer(images, [flat]), expected)


def new_method(**settings):
    keras.utils.set_random_seed(1)
    return MetaNetworks(Problem(SHAPE, WAY), filters=4, embedding_units=4, base_units=5, meta_units=3, **settings)


SUPPORT, LABELS = RANDOM.uniform(size=(4, *SHAPE)).astype("float32"), np.array([1, 0, 2, 0], "int32")
QUERIES = RANDOM.uniform(size=(3, *SHAPE)).astype("float32")


def preprocessed(values, p=10.0):
    large = np.abs(values) >= np.exp(-p)
    log = np.log(np.maximum(np.abs(values), np.exp(-p))) / p
    return np.stack([np.where(large, log, -1), np.where(large, np.sign(values), np.exp(p) * values)], axis=-1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def base(r, sets):
    hidden = sum(relu(r @ kernel + bias) for kernel, bias, _, _ in sets)
    return sum(hidden @ rows.T + row_bias for _, _, rows, row_bias in sets)


def slow_weights(method):
    return [w.numpy() for w in (method.hidden_kernel, method.hidden_bias, method.output_rows, method.output_bias)]


def split(vector):
    sizes = np.cumsum([20, 5, 15])
    kernel, bias, rows, row_bias = np.split(vector, sizes)
    return kernel.reshape(4, 5), bias, rows.reshape(3, 5), row_bias


def test_an_examples_gradient_is_that_of_its_own_loss():
    method = new_method()
    features = RANDOM.normal(size=(4, 4)).astype("float32")
    found = method.base_gradients(tf.constant(features), LABELS, WAY, tf.ones([WAY]))
    for row, feature, label in zip(found, features, LABELS, strict=True):
        slow = [tf.constant(weight) for weight in slow_weights(method)]
        with tf.GradientTape() as tape:
            tape.watch(slow)
            hidden = tf.nn.relu(feature[None] @ slow[0] + slow[1])
            logits = tf.matmul(hidden, slow[2], transpose_b=True) + slow[3]
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], logits)
        np.testing.assert_allclose(row, flatten(tape.gradient(loss, slow)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("variant", [{}, {"task_level_embedding": False}, {"task_level_base": True}])
def test_a_querys_fast_weights_are_what_it_reads_from_the_memory(variant):
    method = new_method(**variant)
    adaptation = method.adapt(SUPPORT, LABELS)
    fast = [adaptation["embedding_weights"]] if "embedding_weights" in adaptation else []
    assert bool(fast) == method.task_level_embedding
    order = random_order(SUPPORT.reshape(4, -1), LABELS, seed_of(SUPPORT)).numpy()  # in which a support set is read
    keys, queries = (method.embedding(images, fast).numpy() for images in (SUPPORT[order], QUERIES))
    np.testing.assert_allclose(adaptation["keys"], keys, rtol=1e-4, atol=1e-6)

    gradients = method.base_gradients(tf.constant(keys), LABELS[order], WAY, tf.ones([WAY])).numpy()
    x = preprocessed(gradients)
    m = method.make_example_weights
    for dense, activation in ((m.first, relu), (m.second, relu), (m.last, lambda value: value)):
        kernel, bias = dense.get_weights()
        x = activation(x @ kernel + bias)
    np.testing.assert_allclose(adaptation["values"], x[..., 0], rtol=1e-3, atol=1e-5)

    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    expected = []
    shots = np.bincount(LABELS)[LABELS[order]]
    for weights, r in zip(softmax(unit(queries) @ unit(keys).T - np.log(shots)), queries, strict=True):
        sets = [slow_weights(method), split(weights @ x[..., 0])]
        if method.task_level_base:
            sets.append(split(adaptation["base_weights"].numpy()))
        expected.append(base(r, sets))
    np.testing.assert_allclose(method.classify(adaptation, QUERIES), expected, rtol=1e-3, atol=1e-4)


def test_task_level_weights_come_from_an_lstm_over_gradients():
    method = new_method()
    gradients = [RANDOM.normal(size=6).astype("float32") for _ in range(3)]
    d = method.make_embedding_weights
    kernel, recurrent, bias = d.lstm.get_weights()
    h = c = np.zeros((6, 3))
    for gradient in gradients:
        i, f, g, o = np.split(preprocessed(gradient) @ kernel + h @ recurrent + bias, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    last_kernel, last_bias = d.last.get_weights()
    np.testing.assert_allclose(d(gradients), (h @ last_kernel + last_bias)[:, 0], rtol=1e-4, atol=1e-6)


def embedding_losses(method, pairs):
    """Of examples (index, None) by cross-entropy, of pairs by the contrastive loss: the gradients to Q."""
    found = []
    for index, partner in pairs:
        slow = [tf.convert_to_tensor(weight) for weight in method.embedding.slow]
        with tf.GradientTape() as tape:
            tape.watch(slow)
            first = method.embedding(SUPPORT[index][None], slow=slow)[0]
            if partner is None:
                logits = tf.linalg.matvec(method.embedding_rows, first)
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS[index], logits)
            else:
                distance = tf.norm(first - method.embedding(SUPPORT[partner][None], slow=slow)[0])
                same = LABELS[index] == LABELS[partner]
                loss = distance**2 if same else tf.maximum(0.0, method.margin - distance) ** 2
        found.append(flatten(tape.gradient(loss, slow)).numpy())
    return found


def test_the_embedding_loss_is_cross_entropy_with_one_example_a_class():
    method = new_method(task_examples=3)
    found = method.embedding_gradients(SUPPORT[:3], LABELS[:3], WAY, tf.ones([WAY]))
    for gradient, expected in zip(found, embedding_losses(method, [(0, None), (1, None), (2, None)]), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)


def test_the_embedding_loss_is_contrastive_with_more():
    method = new_method(task_examples=4, margin=9.0)
    read = [1, 0, 2, 3]  # of labels 0, 1, 2, 0
    found = method.embedding_gradients(tf.gather(SUPPORT, read), tf.gather(LABELS, read), WAY, tf.ones([WAY]))
    # The partner is the next one, in turn of the same class, where there is one, and of another.
    pairs = [(1, 3), (0, 2), (2, 3), (3, 0)]
    for gradient, expected in zip(found, embedding_losses(method, pairs), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)


def test_the_examples_that_make_task_level_weights_are_drawn_at_random():
    """Each of three classes is the first one of some support sets, and always the same one of the same support set."""
    first = []
    for seed in range(30):
        images = np.random.default_rng(seed).uniform(size=(3, *SHAPE)).astype("float32")
        flat, labels = images.reshape(3, -1), np.arange(3, dtype="int32")
        order = random_order(flat, labels, seed_of(images)).numpy()
        listed = [2, 0, 1]
        again = random_order(flat[listed], labels[listed], seed_of(images[listed])).numpy()
        np.testing.assert_array_equal(labels[listed][again], labels[order])
        first.append(labels[order[0]])
    assert np.bincount(first).min() > 3  # of ten expected


def test_a_class_with_more_examples_has_no_larger_part_in_a_querys_weights():
    method = new_method(task_level_embedding=False)
    once = method.classify(method.adapt(SUPPORT[:3], LABELS[:3]), QUERIES)
    twice = [0, 1, 1, 1, 1, 2]
    again = method.classify(method.adapt(SUPPORT[twice], LABELS[twice]), QUERIES)
    np.testing.assert_allclose(again, once, rtol=1e-4, atol=1e-5)


def test_there_must_be_a_task_example():
    with pytest.raises(ValueError, match="task_examples must be a whole number, at least 1"):
        new_method(task_examples=0)
