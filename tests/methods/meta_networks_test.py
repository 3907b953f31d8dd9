"""Meta Networks: layer augmentation, gradients as meta information, fast weights and memory, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.learners.augmented import AugmentedConvolutions, AugmentedMLP, flatten
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


@pytest.mark.parametrize("layer_norm", [False, True])
def test_an_augmented_layer_adds_up_what_slow_and_fast_weights_make(layer_norm):
    keras.utils.set_random_seed(0)
    layer = AugmentedConvolutions(filters=2, features=3, blocks=2, layer_norm=layer_norm, dtype="float64")
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
            if layer_norm:
                x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        expected.append(sum(x.ravel() @ weights[-2] + weights[-1] for weights in (slow, fast)))
    flat = flatten([tf.constant(weight) for weight in fast])
    np.testing.assert_allclose(layer(images, [flat]), expected)


def test_an_augmented_mlp_adds_up_too_and_its_last_layer_has_no_relu():
    layer = AugmentedMLP(features=3, layers=2, dtype="float64")
    layer.build((None, 2, 2, 1))
    slow = [weight.numpy() for weight in layer.slow]
    fast = [RANDOM.normal(size=shape) for shape in layer.shapes]
    x = RANDOM.normal(size=(5, 4))
    hidden = relu(x @ slow[0] + slow[1]) + relu(x @ fast[0] + fast[1])
    expected = hidden @ slow[2] + slow[3] + hidden @ fast[2] + fast[3]
    flat = flatten([tf.constant(weight) for weight in fast])
    np.testing.assert_allclose(layer(x.reshape(5, 2, 2, 1), [flat]), expected)


@pytest.mark.parametrize("kind", [AugmentedConvolutions, AugmentedMLP])
def test_each_image_may_have_fast_weights_of_its_own(kind):
    layer = kind(features=3, linear=False, dtype="float64")
    layer.build((None, 16, 17, 2))
    images = RANDOM.normal(size=(2, 16, 17, 2))
    fast = [flatten([tf.constant(RANDOM.normal(size=shape)) for shape in layer.shapes]) for _ in images]
    expected = [layer(image[None], [weights])[0] for image, weights in zip(images, fast, strict=True)]
    assert np.min(expected) >= 0
    np.testing.assert_allclose(layer(images, [tf.stack(fast)]), expected, atol=1e-9)


SMALL = {"filters": 4, "embedding_units": 4, "base_filters": 3, "base_units": 5, "meta_units": 3}
BASES = ("features", "mlp", "convolutions")


def new_method(**settings):
    keras.utils.set_random_seed(1)
    return MetaNetworks(Problem(SHAPE, WAY), **SMALL | settings)


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


@pytest.mark.parametrize("base_learner", BASES)
def test_an_examples_gradient_is_that_of_its_own_loss(base_learner):
    method = new_method(base_learner=base_learner)
    features = RANDOM.normal(size=(4, 4) if base_learner == "features" else (4, *SHAPE)).astype("float32")
    found = method.base_gradients(tf.constant(features), LABELS, WAY, tf.ones([WAY]))
    for row, feature, label in zip(found, features, LABELS, strict=True):
        slow = [tf.constant(weight) for weight in method.base_variables]
        with tf.GradientTape() as tape:
            tape.watch(slow)
            if base_learner == "features":
                hidden = tf.nn.relu(feature[None] @ slow[0] + slow[1])
            else:
                hidden = method.base_body(feature[None], slow=slow[:-2])
            logits = tf.matmul(hidden, slow[-2], transpose_b=True) + slow[-1]
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], logits)
        np.testing.assert_allclose(row, flatten(tape.gradient(loss, slow)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "variant", [{}, {"task_level_embedding": False}, {"task_level_base": True}, {"attention_scale": 7.0}]
)
def test_a_querys_fast_weights_are_what_it_reads_from_the_memory(variant):
    method = new_method(**variant)
    last = method.make_example_weights.last.kernel
    last.assign(last * 300)  # the fast weights are otherwise too small to be seen beside the slow ones
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
    attention = softmax(method.attention_scale * unit(queries) @ unit(keys).T - np.log(shots))
    for weights, r in zip(attention, queries, strict=True):
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


@pytest.mark.parametrize("attention_scale", [1.0, 10.0])
def test_a_class_with_more_examples_has_no_larger_part_in_a_querys_weights(attention_scale):
    method = new_method(task_level_embedding=False, attention_scale=attention_scale)
    once = method.classify(method.adapt(SUPPORT[:3], LABELS[:3]), QUERIES)
    twice = [0, 1, 1, 1, 1, 2]
    again = method.classify(method.adapt(SUPPORT[twice], LABELS[twice]), QUERIES)
    np.testing.assert_allclose(again, once, rtol=1e-4, atol=1e-5)


def test_there_must_be_a_task_example():
    with pytest.raises(ValueError, match="task_examples must be a whole number, at least 1"):
        new_method(task_examples=0)


@pytest.mark.parametrize("embedding_network", ["convolutions", "mlp"])
@pytest.mark.parametrize("base_learner", BASES[1:])
def test_a_base_learner_may_take_the_images(embedding_network, base_learner):
    """Its logits are those of its own network with what a query reads from the memory as fast weights."""
    method = new_method(embedding_network=embedding_network, base_learner=base_learner)
    assert isinstance(method.embedding, AugmentedMLP if embedding_network == "mlp" else AugmentedConvolutions)
    adaptation = method.adapt(SUPPORT, LABELS)
    keys, queries = adaptation["keys"].numpy(), method.embedding(QUERIES, [adaptation["embedding_weights"]]).numpy()
    likeness = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        keys / np.linalg.norm(keys, axis=1, keepdims=True)
    ).T
    fast = softmax(likeness - adaptation["log_shots"].numpy()) @ adaptation["values"].numpy()
    parameters = sum(np.prod(shape) for shape in method.base_body.shapes)
    assert fast.shape[1] == parameters + 5 * WAY + WAY
    hidden = method.base_body(QUERIES, [tf.constant(fast[:, :parameters], tf.float32)]).numpy()
    rows, bias = (weight.numpy() for weight in method.base_variables[-2:])
    fast_rows, fast_bias = fast[:, parameters:-WAY].reshape(-1, WAY, 5), fast[:, -WAY:]
    expected = hidden @ rows.T + bias + np.einsum("nh,nkh->nk", hidden, fast_rows) + fast_bias
    np.testing.assert_allclose(method.classify(adaptation, QUERIES), expected, rtol=1e-3, atol=1e-4)


def test_layer_norm_is_for_both_networks():
    method = new_method(layer_norm=True, base_learner="convolutions")
    assert method.embedding.layer_norm and method.base_body.layer_norm
    assert not new_method().embedding.layer_norm


@pytest.mark.parametrize("base_learner", ["features", "mlp"])
def test_layer_norm_needs_convolutions(base_learner):
    with pytest.raises(ValueError, match="layer_norm normalises blocks of convolutions"):
        new_method(layer_norm=True, embedding_network="mlp", base_learner=base_learner)
    assert new_method(layer_norm=True, embedding_network="mlp", base_learner="convolutions").base_body.layer_norm


def test_a_new_base_learner_is_random_of_its_size_and_all_else_stays():
    method = new_method(base_learner="convolutions")
    before = [variable.numpy() for variable in method.variables]
    new, again, other = (method.with_new_base_learner(7, seed) for seed in (0, 0, 1))
    assert new.base_body.slow[0].shape == (3, 3, 1, 7)
    base = {variable.path for variable in new.base_variables}
    for mine, theirs in zip(method.variables, new.variables, strict=True):
        if theirs.path not in base:
            np.testing.assert_array_equal(mine, theirs)
    for mine, same, different in zip(new.base_variables, again.base_variables, other.base_variables, strict=True):
        np.testing.assert_array_equal(mine, same)
        assert (np.ptp(mine) == 0) == (len(mine.shape) == 1)
        assert len(mine.shape) == 1 or not np.array_equal(mine, different)
    for mine, then in zip(method.variables, before, strict=True):
        np.testing.assert_array_equal(mine, then)
    assert new.classify(new.adapt(SUPPORT, LABELS), QUERIES).shape == (3, WAY)


def test_a_base_learner_without_convolutions_is_not_replaced():
    with pytest.raises(ValueError, match="Only base_learner='convolutions' can be replaced, not 'features'"):
        new_method().with_new_base_learner(4)


def test_meta_weights_are_taken_by_another_network_and_problem():
    method, problem = new_method(task_level_base=True), Problem((20, 20, 1), 2)
    keras.utils.set_random_seed(2)
    other = MetaNetworks(problem, embedding_network="mlp", base_learner="mlp", task_level_base=True, meta_units=3)
    own = [variable.numpy() for variable in (*other.embedding.slow, *other.base_variables)]
    other.take_meta_weights(method)
    assert len(other.meta_variables) == 6 + 2 * 5  # m's three dense layers, and an LSTM and a dense layer of each d
    for mine, theirs in zip(method.meta_variables, other.meta_variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for now, then in zip((*other.embedding.slow, *other.base_variables), own, strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.raises(ValueError, match="same meta_units"):
        other.take_meta_weights(new_method(meta_units=4))
