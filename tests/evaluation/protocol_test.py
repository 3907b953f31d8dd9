"""The evaluation protocol."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.data import ClassPool, EpisodeSampler
from ml_lstm.episode import Problem
from ml_lstm.evaluation import Accuracy, episode_accuracies
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM


def test_interval_is_that_of_the_mean_over_episodes():
    summary = Accuracy.of(np.array([0.2, 0.4, 0.6, 0.8]))
    # Sample variance (0.09 + 0.01 + 0.01 + 0.09) / 3.
    assert summary.mean == pytest.approx(0.5)
    assert summary.standard_deviation == pytest.approx((0.2 / 3) ** 0.5)
    assert summary.confidence_interval_95 == pytest.approx(1.96 * (0.2 / 3) ** 0.5 / 2)
    assert summary.percentiles[50] == pytest.approx(0.5)


@pytest.fixture(scope="module")
def sampler():
    random = np.random.default_rng(0)
    models = random.integers(0, 256, (8, 1, 16, 16, 1))
    noisy = np.clip(models + random.normal(0, 120, (8, 6, 16, 16, 1)), 0, 255).astype("uint8")
    return EpisodeSampler(ClassPool.from_classes({str(k): images for k, images in enumerate(noisy)}), 3, 1, 5)


@pytest.fixture(scope="module")
def method():
    keras.utils.set_random_seed(0)
    return MetaLSTM(
        conv4((16, 16, 1), 3, filters=4),
        Problem((16, 16, 1), 3),
        MetaLSTMCell(hidden_units=0),
        inner_steps=2,
        inner_gradient_scale=30.0,
    )


def test_order_and_batch_size_do_not_change_an_episodes_accuracy(method, sampler):
    by_four = episode_accuracies(method, sampler.dataset(count=10), batch_size=4)
    one_by_one = episode_accuracies(method, sampler.dataset(count=10), batch_size=1)
    last_ones = episode_accuracies(method, sampler.dataset(start=6, count=4), batch_size=3)
    assert by_four.shape == (10,) and len(set(by_four.tolist())) > 2
    np.testing.assert_array_equal(by_four, one_by_one)
    np.testing.assert_array_equal(by_four[6:], last_ones)


def test_a_bar_is_told_of_every_episode(method, sampler):
    told = []
    episode_accuracies(method, sampler.dataset(count=10), batch_size=4, done=told.append)
    assert told == [4, 4, 2]


def test_accuracy_is_that_of_adapt_and_classify(method, sampler):
    expected = []
    for episode in sampler.dataset(count=3):
        logits = method.classify(method.adapt(episode.support_images, episode.support_labels), episode.query_images)
        expected.append(np.mean(tf.argmax(logits, 1).numpy() == episode.query_labels.numpy()))
    np.testing.assert_allclose(episode_accuracies(method, sampler.dataset(count=3)), expected)
