"""PyTorch's version of the meta-learner, an independent implementation, agrees with ours."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import meta_step
from ml_lstm import learners, methods
from ml_lstm.episode import Episode, Problem

torch = pytest.importorskip("torch", reason="the benchmarks' PyTorch is not installed: make .venv/bench")
from benchmarks import plain_pytorch, plain_pytorch_methods  # noqa: E402

SETTING = meta_step.Setting((20, 36, 3), n_way=3, k_shot=2, n_query=4, inner_steps=4, inner_batch_size=6)
PLACES = (1, 2)


@pytest.fixture(scope="module")
def ours():
    keras.utils.set_random_seed(0)
    method = meta_step.build(SETTING)
    # Weights of a size at which every part of the update rule matters.
    random = np.random.default_rng(1)
    for variable in method.coordinate_lstm.weights + method.cell.weights:
        variable.assign(random.normal(scale=0.3, size=variable.shape))
    return method


@pytest.fixture(scope="module")
def episode():
    return Episode(*(tensor[0] for tensor in meta_step.random_episodes(SETTING, 1)))


def test_adapted_parameters_agree(ours, episode):
    theirs = plain_pytorch.PlainMetaLSTM(ours, SETTING.image_shape)
    images, labels, _, _ = plain_pytorch.episode_tensors(episode, ours)
    found = theirs.split(theirs.adapt(images, labels))
    adaptation = ours.adapt(episode.support_images, episode.support_labels, training=True)
    expected = ours.network.unflatten(adaptation["parameters"])
    for value, (name, other) in zip(expected, found.items(), strict=True):
        value = plain_pytorch.to_pytorch(value, PLACES)
        np.testing.assert_allclose(other.detach(), value, atol=1e-4, err_msg=name)


def test_the_meta_gradient_agrees(ours, episode):
    theirs = plain_pytorch.PlainMetaLSTM(ours, SETTING.image_shape)
    loss = theirs.meta_loss(plain_pytorch.episode_tensors(episode, ours))
    loss.backward()
    with tf.GradientTape() as tape:
        expected, _ = ours.episode_loss(episode, training=True)
    assert loss.item() == pytest.approx(float(expected), abs=1e-4)
    gradients = dict(
        zip((v.path for v in ours.trainable_variables), tape.gradient(expected, ours.trainable_variables), strict=True)
    )

    def of(variable):
        return gradients[variable.path]

    pairs = [
        (parameter.grad, plain_pytorch.to_pytorch(of(variable), PLACES))
        for parameter, variable in zip(theirs.learner.parameters(), ours.learner.trainable_variables, strict=True)
    ]
    rule, lstm, cell = theirs.rule, ours.coordinate_lstm, ours.cell
    pairs += [
        (rule.lstm.weight_ih.grad.T, plain_pytorch.tensor(of(lstm.kernel))),
        (rule.lstm.weight_hh.grad.T, plain_pytorch.tensor(of(lstm.recurrent_kernel))),
        (rule.lstm.bias_ih.grad, plain_pytorch.tensor(of(lstm.bias))),
        (rule.input_gate.weight.grad[0], plain_pytorch.tensor(of(cell.input_kernel))),
        (rule.input_gate.bias.grad[0], plain_pytorch.tensor(of(cell.input_bias))),
        (rule.forget_gate.weight.grad[0], plain_pytorch.tensor(of(cell.forget_kernel))),
        (rule.forget_gate.bias.grad[0], plain_pytorch.tensor(of(cell.forget_bias))),
    ]
    assert len(pairs) == len(gradients)
    largest = max(float(wanted.abs().max()) for _, wanted in pairs)
    for found, wanted in pairs:
        # The gradient to a bias before batch norm is nothing but rounding.
        scale = max(float(wanted.abs().max()), 1e-3 * largest)
        np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-4)


def test_a_meta_step_lowers_the_loss_of_its_episode(ours, episode):
    theirs = plain_pytorch.PlainMetaLSTM(ours, SETTING.image_shape)
    tensors = plain_pytorch.episode_tensors(episode, ours)
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-3)
    losses = [theirs.meta_step(optimizer, tensors) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert theirs.meta_test(tensors).shape == (12, 3)


@pytest.mark.slow
def test_what_torch_compiles_gives_the_same(ours, episode):
    plain, compiled = (plain_pytorch.PlainMetaLSTM(ours, SETTING.image_shape, compiled) for compiled in (False, True))
    tensors = plain_pytorch.episode_tensors(episode, ours)
    losses = [model.meta_loss(tensors) for model in (plain, compiled)]
    np.testing.assert_allclose(losses[1].item(), losses[0].item(), atol=1e-5)
    for loss in losses:
        loss.backward()
    for expected, found in zip(plain.parameters(), compiled.parameters(), strict=True):
        scale = max(float(expected.grad.abs().max()), 1e-6)
        np.testing.assert_allclose(found.grad / scale, expected.grad / scale, atol=1e-3)
    np.testing.assert_allclose(compiled.meta_test(tensors), plain.meta_test(tensors), atol=1e-3)


def test_maml_has_the_same_loss_meta_gradient_and_answers(episode):
    problem = Problem(SETTING.image_shape, SETTING.n_way)
    ours = methods.MAML(
        learners.conv4(SETTING.image_shape, SETTING.n_way), problem, inner_steps=2, inner_learning_rate=0.05
    )
    theirs = plain_pytorch_methods.PlainMAML(ours, SETTING.image_shape)
    tensors = plain_pytorch.episode_tensors(episode, ours)
    loss = theirs.meta_loss(tensors)
    loss.backward()
    with tf.GradientTape() as tape:
        expected, _ = ours.episode_loss(episode, training=True)
    assert loss.item() == pytest.approx(float(expected), abs=1e-4)
    gradients = [
        plain_pytorch.to_pytorch(gradient, PLACES)
        for gradient in tape.gradient(expected, ours.learner.trainable_variables, unconnected_gradients="zero")
    ]
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    for parameter, wanted in zip(theirs.learner.parameters(), gradients, strict=True):
        np.testing.assert_allclose(parameter.grad / largest, wanted / largest, atol=1e-3)
    # Running averages are PyTorch's own kind: they begin at 0 and 1 and take in the unbiased variance.
    assert theirs.meta_test(tensors).shape == (12, 3)
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-3)
    losses = [theirs.meta_step(optimizer, tensors) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_prototypical_networks_give_the_same_answers_and_learn(episode):
    problem = Problem(SETTING.image_shape, SETTING.n_way)
    features = learners.embedding(learners.conv4(SETTING.image_shape, SETTING.n_way, filters=8))
    ours = methods.PrototypicalNetworks(features, problem)
    theirs = plain_pytorch_methods.PlainPrototypicalNetworks(ours, SETTING.image_shape)
    tensors = plain_pytorch.episode_tensors(episode, ours)
    answers = ours.classify(ours.adapt(episode.support_images, episode.support_labels), episode.query_images)
    np.testing.assert_allclose(theirs.meta_test(tensors), answers, rtol=1e-3, atol=1e-3)
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-3)
    losses = [theirs.meta_step(optimizer, tensors) for _ in range(5)]
    assert losses[-1] < losses[0]
