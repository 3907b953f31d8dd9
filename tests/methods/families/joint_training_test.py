"""Training on all classes at once: plain classification of mini-batches, by the network and its head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.data import BatchSampler, ClassPool
from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import conv4, embedding
from ml_lstm.methods import FineTuning, NearestNeighbour, SimpleShot

CLASSES = 6
RANDOM = np.random.default_rng(0)
POOL = ClassPool.from_classes({f"{k}": RANDOM.integers(0, 256, (4, 16, 16, 1)).astype("uint8") for k in range(CLASSES)})


def linear_network():
    return keras.Sequential(
        [
            keras.Input((16, 16, 1), dtype="float64"),
            keras.layers.Flatten(dtype="float64"),
            keras.layers.Dense(3, dtype="float64"),
        ]
    )


def new_method(kind=NearestNeighbour):
    keras.utils.set_random_seed(2)
    return kind(embedding(conv4((16, 16, 1), 5, filters=4)), Problem((16, 16, 1), 5, CLASSES))


def test_the_loss_is_the_cross_entropy_between_all_classes():
    method = NearestNeighbour(linear_network(), Problem((16, 16, 1), 5, CLASSES, [0.4], [0.3]), dtype="float64")
    batch = BatchSampler(POOL, 10).sample(0)
    loss, logits = method.episode_loss(batch, training=True)
    (kernel, bias), (head, head_bias) = method.learner.get_weights(), method.joint_head.get_weights()
    x = (batch.images.numpy().reshape(10, -1) / 255 - 0.4) / 0.3
    expected = (x @ kernel + bias) @ head + head_bias
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    of_label = expected[np.arange(10), batch.labels]
    np.testing.assert_allclose(loss, np.mean(np.log(np.exp(expected).sum(1)) - of_label), rtol=1e-5)


@pytest.mark.parametrize("kind", [FineTuning, NearestNeighbour, SimpleShot])
def test_network_and_head_learn_the_classes(kind):
    method = new_method(kind)
    method.compile(optimizer=keras.optimizers.Adam(0.01))
    before = {v.path: v.numpy() for v in method.trainable_variables}
    assert any("joint_head" in path for path in before)
    assert len(before) == len(method.learner.trainable_variables) + 2
    batches = BatchSampler(POOL, 24).dataset().batch(2)
    history = method.fit(batches, steps_per_epoch=20, epochs=3, verbose=0).history
    unmoved = [v.path for v in method.trainable_variables if np.array_equal(v, before[v.path])]
    # Batch norm takes the mean out again, so a convolution's bias has no gradient but rounding.
    assert [path for path in unmoved if not path.endswith("bias")] == []
    assert history["accuracy"][-1] > 0.9
    assert history["loss"][-1] < history["loss"][0]


def test_no_training_step_writes_batch_norms_averages():
    method = new_method()
    method.compile(optimizer=keras.optimizers.Adam(0.01))
    before = [v.numpy() for v in method.learner.non_trainable_variables]
    method.fit(BatchSampler(POOL, 8).dataset().batch(1), steps_per_epoch=1, verbose=0)
    for value, variable in zip(before, method.learner.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(value, variable)


def test_validation_is_by_episodes():
    method = new_method()
    support, labels = tf.constant(POOL.images[::4]), tf.range(CLASSES)
    episode = Episode(support[:5], labels[:5], support[:5], labels[:5])
    loss, logits = method.episode_loss(episode, training=False)
    np.testing.assert_allclose(logits, method.classify(method.adapt(*episode[:2]), episode[2]))
    np.testing.assert_allclose(np.diag(logits), 1, atol=1e-5)
    assert float(loss) < np.log(5)


def test_episodes_to_train_on_are_refused_in_words():
    method = new_method()
    support, labels = tf.constant(POOL.images[::4]), tf.range(CLASSES)
    with pytest.raises(ValueError, match=r"NearestNeighbour trains on batches.*data\.batches"):
        method.episode_loss(Episode(support, labels, support, labels), training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"train_classes": 1}, "train_classes of the problem must be at least 2, got 1"), ({"n_way": 1}, "n_way")],
)
def test_a_bad_setting_is_refused_with_the_value_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        NearestNeighbour(linear_network(), Problem((16, 16, 1), **{"n_way": 5, "train_classes": 3} | arguments))


def test_two_classes_are_enough_to_train_on():
    assert NearestNeighbour(linear_network(), Problem((16, 16, 1), 2, 2), dtype="float64").joint_head.units == 2
    with pytest.raises(ValueError, match="train_classes of the problem must be at least 2, got 1"):
        NearestNeighbour(linear_network(), Problem((16, 16, 1), 2, 1), dtype="float64")


@pytest.mark.parametrize("kind", [FineTuning, NearestNeighbour, SimpleShot])
def test_a_network_that_is_frozen_throughout_classifies(kind):
    network = embedding(conv4((16, 16, 1), 5, filters=4))
    network.trainable = False
    method = kind(network, Problem((16, 16, 1), 5))
    logits = method.classify(method.adapt(POOL.images[:4], [0, 1, 2, 3]), POOL.images[:6])
    assert np.std(logits[:, :4], axis=0).min() > 0
