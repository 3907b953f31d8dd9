"""Additions to Keras's callbacks: saving for an exact resume, clean stops, searches, and episodes per second."""

import math
import time
from typing import Annotated, Protocol

import keras
import tensorflow as tf

from ml_lstm.distribution import Distribution
from ml_lstm.errors import UserError
from ml_lstm.options import FREE, Whole
from ml_lstm.training.average_weights import AverageWeights
from ml_lstm.training.progress import Progress


class Store(Protocol):
    """Where `SaveProgress` saves, for example `ml_lstm.runs.CheckpointStore`."""

    def save(self, number: int) -> None:
        """Writes the contents of the store, after this number of episodes."""


class Interrupted(Exception):
    """The run was asked to stop and has been saved."""


class EpisodesPerSecond(keras.callbacks.Callback):
    """Adds `episodes_per_second`, over the epoch so far, to the logs; put it before callbacks that show them.

    Args:
        meta_batch_size: episodes in a step.
    """

    def __init__(self, meta_batch_size: int):
        super().__init__()
        self._meta_batch_size = meta_batch_size

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()
        self._rate = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self._rate = (batch + 1) * self._meta_batch_size / (time.perf_counter() - self._start)
        logs["episodes_per_second"] = self._rate

    def on_epoch_end(self, epoch, logs=None):
        logs["episodes_per_second"] = self._rate


class Tune(keras.callbacks.Callback):
    """Lets the method search on the meta-validation episodes before it is validated, see `FewShotClassifier.tune`.

    It adds the chosen values to the logs; put it before callbacks that show them.

    Args:
        episodes: meta-validation episodes, in meta-batches.
    """

    def __init__(self, episodes: tf.data.Dataset):
        super().__init__()
        self._episodes = episodes

    def on_test_begin(self, logs=None):
        self._chosen = self.model.tune(self._episodes)

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self._chosen)


TRAIN_CLASSES = "train_classes_"
"""Prefix of the logs' names for meta-train classes; that of meta-validation is `val_`."""


class ValidateTrainClasses(keras.callbacks.Callback):
    """After each meta-validation, validates the method in the same way on problems of meta-train classes.

    Adds `train_classes_loss` and `train_classes_accuracy` to the logs; put it before callbacks that show or save them.
    It does not change the values that `Tune` found on the meta-validation episodes.

    Args:
        episodes: like those of meta-validation, in meta-batches.
    """

    def __init__(self, episodes: tf.data.Dataset):
        super().__init__()
        self._episodes = episodes

    def on_epoch_end(self, epoch, logs=None):
        found = self.model.evaluate(self._episodes, verbose=0, return_dict=True)
        logs.update({f"{TRAIN_CLASSES}{name}": value for name, value in found.items()})


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises an error if an episode's meta-loss is not finite, before anything is saved.

    Raises:
        UserError: with the index of the episode.
    """

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"] + logs["gradient_norm"]):
            episode = int(tf.convert_to_tensor(self.model.first_non_finite_episode.result()))
            raise UserError(
                f"The meta-loss or its gradient was not finite at episode {episode}. The last good checkpoint is "
                "kept; start a new run with a lower --learning_rate or --inner_gradient_scale."
            )


class SaveProgress(keras.callbacks.Callback):
    """Saves the run after each epoch and when it is asked to stop, and the best weights after each validation.

    Args:
        backup: the store to resume from; holds the model, the optimizer and `progress`.
        best: the store of the weights with the best validation accuracy.
        progress: updated by this callback.
        meta_batch_size: episodes in a step.
        stop_requested: returns whether the run was asked to stop.
        shared: the processes that share the run: the chief saves, and its validations count. None for one process.
        averages: those that the method has at the end of an epoch: they are saved as best, and the method gets its own
            weights back before the backup.
        early_stopping: stop after this number of meta-validations without a better one; 0: never.

    Raises:
        Interrupted: after the run was saved because it was asked to stop.
    """

    def __init__(
        self,
        backup: Store,
        best: Store,
        progress: Progress,
        meta_batch_size: int,
        stop_requested=lambda: False,
        shared: Distribution | None = None,
        averages: AverageWeights | None = None,
        *,
        early_stopping: Annotated[Whole, FREE] = 0,
    ):
        super().__init__()
        self._backup = backup
        self._best = best
        self._progress = progress
        self._meta_batch_size = meta_batch_size
        self._early_stopping = early_stopping
        self._stop_requested = stop_requested
        self._shared = shared or Distribution()
        self._averages = averages
        self._clock = time.monotonic()

    @property
    def _episodes(self) -> int:
        return int(tf.convert_to_tensor(self.model.optimizer.iterations)) * self._meta_batch_size

    def _count_time(self):
        now = time.monotonic()
        self._progress.seconds += now - self._clock
        self._clock = now

    def _save(self, store):
        if self._shared.is_chief:
            store.save(self._episodes)

    def on_train_begin(self, logs=None):
        self._clock = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        # The last batch of an epoch is saved with its validation, in on_epoch_end.
        if self._stop_requested() and batch + 1 < self.params["steps"]:
            self._count_time()
            self._save(self._backup)
            raise Interrupted

    def on_epoch_end(self, epoch, logs=None):
        self._count_time()
        best_so_far = self._progress.best_accuracy
        # All workers use the chief's value: rounding could differ, and one would stop while others wait for it.
        accuracy = self._shared.workers(logs["val_accuracy"])[0]
        self._progress.validations.append((self._episodes, accuracy))
        if f"{TRAIN_CLASSES}accuracy" in logs:
            familiar = self._shared.workers(logs[f"{TRAIN_CLASSES}accuracy"])[0]
            self._progress.train_classes.append((self._episodes, familiar))
        if accuracy > best_so_far:
            self._save(self._best)
        if self._averages:
            self._averages.give_back()
        self._save(self._backup)
        if self._stop_requested():
            raise Interrupted
        if 0 < self._early_stopping <= self._progress.validations_since_best:
            self.model.stop_training = True
