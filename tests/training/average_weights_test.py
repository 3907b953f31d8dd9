"""Averages of weights over meta-steps: what they are, and who has them when."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode
from ml_lstm.training import AverageWeights, MetaLearner, Progress, SaveProgress, Tune


class Walk(MetaLearner):
    """Has a number that goes up by 1 in each step, one that follows it as batch norm's averages do, and a count."""

    def __init__(self):
        super().__init__()
        self.number = self.add_weight(shape=(), initializer="zeros", name="number")
        self.follower = self.add_weight(shape=(), initializer="ones", trainable=False, name="follower")
        self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int32", name="steps")
        self.frozen = self.add_weight(shape=(), initializer="ones", trainable=False, name="frozen")
        self.tuned_at = []
        self.built = True

    @property
    def kept_averages(self):
        return [self.follower, self.steps]

    def meta_gradient(self, episodes):
        self.follower.assign(3 * self.follower)
        self.steps.assign(self.steps + 1)
        return tf.zeros([1]), tf.zeros([1]), [tf.constant(-1.0)]

    def episode_loss(self, episode, training, query_statistics="support"):
        return tf.convert_to_tensor(self.number), tf.one_hot(episode.query_labels, 2)

    def tune(self, episodes):
        self.tuned_at.append(float(self.number))
        return {}


def episodes():
    images, labels = np.zeros((4, 1, 1, 1, 1), np.float32), np.zeros((4, 1), np.int32)
    return tf.data.Dataset.from_tensor_slices(Episode(images, labels, images, labels))


def walking(momentum):
    method = Walk()
    method.compile(keras.optimizers.SGD(1.0))
    return method, AverageWeights(method, average_weights=momentum)


def averaged(values, momentum):
    """The equation in float64: `values` from the start on."""
    average = values[0]
    for step, value in enumerate(values[1:], start=1):
        m = min(momentum, (1 + step) / (10 + step))
        average = m * average + (1 - m) * value
    return average


@pytest.mark.parametrize("momentum", [0.1, 0.3, 0.999])
def test_the_average_is_that_of_the_equation(momentum):
    method, averages = walking(momentum)
    method.fit(episodes().repeat(), steps_per_epoch=7, epochs=2, verbose=0, callbacks=[averages])
    assert float(method.number) == pytest.approx(averaged(np.arange(15.0), momentum), rel=1e-6)
    assert float(method.follower) == pytest.approx(averaged(3.0 ** np.arange(15.0), momentum), rel=1e-6)
    assert int(method.steps) == 14, "a count has no average"
    averages.give_back()
    assert [float(weight) for weight in (method.number, method.follower, method.frozen)] == [14, 3.0**14, 1]


def test_early_steps_are_forgotten():
    assert averaged([1000.0] + [0.0] * 50, 0.999) < 1e-3


def test_lent_or_given_back_twice_is_once():
    method, averages = walking(0.5)
    method.number.assign(7)
    averages.lend()
    averages.lend()
    assert float(method.number) == 0
    averages.give_back()
    averages.give_back()
    assert float(method.number) == 7


class Looks(keras.callbacks.Callback):
    """Remembers what the method has when something is saved, and after each epoch and step."""

    def __init__(self):
        super().__init__()
        self.saved, self.seen, self.steps = [], [], []

    def store(self, name):
        class Store:
            save = staticmethod(lambda number: self.saved.append((name, number, float(self.model.number))))

        return Store

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((float(self.model.number), logs["val_loss"]))

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(float(self.model.number))


def test_the_averages_are_searched_validated_shown_and_kept_as_best_and_training_goes_on_from_the_weights():
    method, averages = walking(0.999)
    looks = Looks()
    saves = SaveProgress(looks.store("backup"), looks.store("best"), Progress(), 1, averages=averages)
    callbacks = [averages, Tune(episodes()), looks, saves]
    method.fit(
        episodes().repeat(), steps_per_epoch=3, epochs=2, verbose=0, callbacks=callbacks, validation_data=episodes()
    )
    first, second = averaged(np.arange(4.0), 0.999), averaged(np.arange(7.0), 0.999)
    assert looks.steps == [1, 2, 3, 4, 5, 6]
    assert method.tuned_at == pytest.approx([first, second], rel=1e-6)
    assert looks.seen == [(pytest.approx(value, rel=1e-6),) * 2 for value in (first, second)]
    assert looks.saved == [("best", 3, pytest.approx(first, rel=1e-6)), ("backup", 3, 3), ("backup", 6, 6)]


@pytest.mark.parametrize("momentum", [-0.1, 1, 1.5, float("nan")])
def test_what_is_no_momentum_is_refused(momentum):
    with pytest.raises(ValueError, match="average_weights must be at least 0 and below 1, got"):
        AverageWeights(Walk(), average_weights=momentum)
