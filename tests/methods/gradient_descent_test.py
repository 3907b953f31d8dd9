"""MAML, first-order MAML and Reptile: their meta-gradients against finite differences and closed forms in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import EpisodicBatchNormalization, LearnerState
from ml_lstm.methods import MAML, Reptile

WAY, SIZE, RATE = 3, 4, 0.3
PROBLEM = Problem((SIZE, SIZE, 1), WAY)


def learner():
    """Without a kink, so that finite differences are exact to their order."""
    keras.utils.set_random_seed(7)
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


def compiled(method):
    method.compile(optimizer=keras.optimizers.SGD(1.0))
    return method


def meta_batch(size=2):
    random = np.random.default_rng(4)
    labels = np.tile(np.arange(WAY), 2).astype("int32")
    episodes = [
        (random.uniform(size=(6, SIZE, SIZE, 1)), labels, random.uniform(size=(6, SIZE, SIZE, 1)), labels)
        for _ in range(size)
    ]
    return Episode(*(tf.constant(np.stack(column)) for column in zip(*episodes, strict=True)))


def each(episodes):
    return [Episode(*(tensor[index] for tensor in episodes)) for index in range(episodes.support_labels.shape[0])]


def flat(gradients):
    return np.concatenate([np.ravel(gradient) for gradient in gradients])


@pytest.mark.slow_unless(shared_head=[False], several_step_loss=[0])
@pytest.mark.parametrize("several_step_loss", [0, 10])
@pytest.mark.parametrize("shared_head", [False, True])
@pytest.mark.parametrize("query_statistics", ["batch", "support"])
def test_mamls_meta_gradient_matches_finite_differences(shared_head, query_statistics, several_step_loss):
    settings = {"inner_steps": 3, "shared_head": shared_head, "query_statistics": query_statistics}
    settings["several_step_loss"] = several_step_loss
    method = compiled(MAML(learner(), PROBLEM, inner_learning_rate=RATE, dtype="float64", **settings))
    episodes = meta_batch()

    def loss():
        return np.mean([method.episode_loss(episode, training=True)[0].numpy() for episode in each(episodes)])

    *_, gradients = method.meta_gradient(episodes)
    random = np.random.default_rng(1)
    for variable, gradient in zip(method.trainable_variables, gradients, strict=True):
        value, direction = variable.numpy(), random.normal(size=variable.shape)
        step = 1e-5
        variable.assign(value + step * direction)
        above = loss()
        variable.assign(value - step * direction)
        below = loss()
        variable.assign(value)
        np.testing.assert_allclose(np.sum(gradient * direction), (above - below) / (2 * step), rtol=1e-5, atol=1e-8)


@pytest.mark.slow_unless(graph=[True], query_statistics=["support"])
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("second_order", [False, True])
@pytest.mark.parametrize("query_statistics", ["batch", "support"])
def test_inner_steps_computed_again_give_the_same_meta_gradient(query_statistics, second_order, graph):
    def meta_gradient(recompute_inner_steps):
        settings = {"inner_steps": 3, "second_order": second_order, "query_statistics": query_statistics}
        method = MAML(
            learner(),
            PROBLEM,
            inner_learning_rate=RATE,
            dtype="float64",
            recompute_inner_steps=recompute_inner_steps,
            **settings,
        )
        gradient_of = compiled(method).meta_gradient
        return flat((tf.function(gradient_of, autograph=False) if graph else gradient_of)(meta_batch())[2])

    np.testing.assert_allclose(meta_gradient(True), meta_gradient(False), rtol=1e-10, atol=1e-13)


def test_first_order_mamls_gradient_is_that_of_the_adapted_weights():
    method = compiled(
        MAML(learner(), PROBLEM, inner_learning_rate=RATE, second_order=False, inner_steps=3, dtype="float64")
    )
    episodes = meta_batch()
    expected = []
    for episode in each(episodes):
        parameters = method.adapt(episode.support_images, episode.support_labels, training=True)["parameters"]
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            state = LearnerState(parameters, method.network.initial_state().statistics)
            logits, _ = method.network(state, episode.query_images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(episode.query_labels, logits))
        expected.append(tape.gradient(loss, parameters))
    np.testing.assert_allclose(
        flat(method.meta_gradient(episodes)[2]), np.mean(expected, axis=0), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("done", "weights"), [(0, [1, 1, 1]), (6, [0.5, 0.5, 2]), (12, [0, 0, 3]), (99, [0, 0, 3])])
def test_a_loss_of_several_steps_becomes_that_of_the_last(done, weights):
    settings = {"inner_learning_rate": RATE, "final_statistics": True, "dtype": "float64"}
    method = compiled(MAML(learner(), PROBLEM, inner_steps=3, several_step_loss=12, **settings))
    method.optimizer.iterations.assign(done)
    episode = each(meta_batch())[0]
    losses = []
    for steps in (1, 2, 3):
        same = compiled(MAML(learner(), PROBLEM, inner_steps=steps, **settings))
        loss, expected_logits = same.episode_loss(episode, training=True)
        losses.append(loss)
    loss, logits = method.episode_loss(episode, training=True)
    np.testing.assert_allclose(loss, np.dot(weights, losses) / 3, rtol=1e-9)
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-9)
    validated, _ = method.episode_loss(episode, training=False)
    np.testing.assert_allclose(validated, same.episode_loss(episode, training=False)[0], rtol=1e-9)


def test_the_two_orders_differ():
    """Else the tests above would show nothing."""
    gradients = [
        flat(
            compiled(
                MAML(learner(), PROBLEM, inner_learning_rate=RATE, second_order=order, dtype="float64")
            ).meta_gradient(meta_batch())[2]
        )
        for order in (True, False)
    ]
    assert np.linalg.norm(gradients[0] - gradients[1]) > 0.1 * np.linalg.norm(gradients[0])


@pytest.mark.parametrize("final_statistics", [False, True])
def test_inner_steps_are_gradient_descent(final_statistics):
    """Restated on the learner's own variables."""
    network = learner()
    settings = {"inner_learning_rate": RATE, "inner_steps": 2, "final_statistics": final_statistics}
    method = MAML(network, PROBLEM, **settings, dtype="float64")
    episode = each(meta_batch())[0]
    adaptation = method.adapt(episode.support_images, episode.support_labels)
    for _ in range(2):
        with tf.GradientTape() as tape:
            logits = network(episode.support_images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(episode.support_labels, logits))
        variables = network.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(RATE * gradient)
    np.testing.assert_allclose(adaptation["parameters"], flat(variables), rtol=1e-9, atol=1e-12)
    if final_statistics:
        network(episode.support_images, training=True)
    averages = flat(network.non_trainable_variables)
    np.testing.assert_allclose(adaptation["statistics"], averages, rtol=1e-9, atol=1e-12)


def joint_gradient(method, episodes):
    """Of the mean loss of both sets together over the meta-batch, at the initial weights."""
    with tf.GradientTape() as tape:
        losses = []
        for episode in each(episodes):
            images = tf.concat([episode.support_images, episode.query_images], axis=0)
            labels = tf.concat([episode.support_labels, episode.query_labels], axis=0)
            logits = method.learner(images, training=True)
            losses.append(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)))
        loss = tf.reduce_mean(losses)
    return flat(tape.gradient(loss, method.trainable_variables))


def test_reptile_with_one_step_is_joint_training():
    method = compiled(Reptile(learner(), PROBLEM, inner_learning_rate=RATE, inner_steps=1, dtype="float64"))
    episodes = meta_batch(3)
    gradient = flat(method.meta_gradient(episodes)[2])
    np.testing.assert_allclose(gradient, RATE * joint_gradient(method, episodes), rtol=1e-5, atol=1e-9)


def test_reptile_with_more_steps_is_something_else():
    method = compiled(Reptile(learner(), PROBLEM, inner_learning_rate=RATE, inner_steps=3, dtype="float64"))
    episodes = meta_batch()
    gradient, joint = flat(method.meta_gradient(episodes)[2]), joint_gradient(method, episodes)
    cosine = gradient @ joint / np.linalg.norm(gradient) / np.linalg.norm(joint)
    assert 0.5 < cosine < 0.9999


@pytest.mark.parametrize("size", [1, 2])
def test_reptile_interpolates_to_the_adapted_weights(size):
    step = 0.25
    method = Reptile(learner(), PROBLEM, inner_learning_rate=RATE, inner_steps=3, dtype="float64")
    method.compile(optimizer=method.make_optimizer(1, learning_rate=step))
    episodes = meta_batch(size)
    adapted = []
    for episode in each(episodes):
        images = tf.concat([episode.support_images, episode.query_images], axis=0)
        labels = tf.concat([episode.support_labels, episode.query_labels], axis=0)
        adapted.append(method.adapt(images, labels)["parameters"])
    before = flat(method.learner.trainable_variables)
    method.train_step(episodes)
    expected = before + step * (np.mean(adapted, axis=0) - before)
    np.testing.assert_allclose(flat(method.learner.trainable_variables), expected, rtol=1e-6, atol=1e-12)


def test_a_shared_head_stays_shared():
    method = Reptile(learner(), PROBLEM, inner_learning_rate=RATE, inner_steps=2, shared_head=True, dtype="float64")
    method.compile(optimizer=method.make_optimizer(1, learning_rate=1.0))
    *_, kernel, bias = method.meta_gradient(meta_batch())[2]
    for tensor in (kernel, bias):
        assert np.ptp(tensor, axis=-1).max() < 1e-12
        assert np.abs(tensor).max() > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MAML(learner(), PROBLEM, inner_learning_rate=0.0),
            "inner_learning_rate must be positive and finite, got 0.0",
        ),
        (lambda: MAML(learner(), PROBLEM, inner_learning_rate=float("nan")), "got nan"),
        (lambda: MAML(learner(), PROBLEM, inner_steps=0), "inner_steps must be a whole number, at least 1, got 0"),
        (
            lambda: MAML(learner(), PROBLEM, eval_inner_steps=-1),
            "eval_inner_steps must be a whole number, at least 0, got -1",
        ),
        (lambda: Reptile(learner(), PROBLEM, second_order=True), "Reptile does not use second_order"),
    ],
)
def test_a_bad_setting_is_refused_with_the_value_received(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_learner_has_an_output_for_each_class_or_a_shared_head():
    more = PROBLEM._replace(n_way=WAY + 1)
    with pytest.raises(ValueError, match="has outputs for 3 classes, and the problem has 4: make it wider, or give"):
        MAML(learner(), more)
    assert MAML(learner(), more, shared_head=True).most_classes is None
    assert MAML(learner(), PROBLEM._replace(n_way=WAY - 1)).most_classes == WAY


def test_only_the_second_order_needs_right_second_derivatives():
    network = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(WAY),
        ]
    )
    with pytest.raises(ValueError, match="EpisodicBatchNormalization instead"):
        MAML(network, PROBLEM)
    assert not MAML(network, PROBLEM, second_order=False).second_order
