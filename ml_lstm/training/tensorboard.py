"""TensorBoard's view of a run: scalars, gates, an image of an episode, the configuration; all over episodes."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from ml_lstm.episode import Episode
from ml_lstm.plots.episode_sheet import episode_sheet
from ml_lstm.training.callbacks import TRAIN_CLASSES

_MEASURED = {"val_": "validation", TRAIN_CLASSES: "train_classes"}
"""Subdirectories for scalars, by prefix of their names; others belong to training."""


class ScalarBoard(keras.callbacks.Callback):
    """Writes the logs of each epoch: the scalars of `keras.callbacks.TensorBoard`, over episodes instead of epochs.

    The configuration goes beside the scalars of meta-validation: HParams uses the values written beside a run's
    configuration as its metrics.

    Args:
        log_dir: of the run. Training's scalars go to `train` there, those of meta-validation to `validation`, and those
            of the same on meta-train classes, if any, to `train_classes`: TensorBoard shows them in one chart.
        meta_batch_size: episodes in a step.
        configuration: shown under HParams; lists are shown as text.
    """

    def __init__(self, log_dir: Path, meta_batch_size: int, configuration: dict[str, Any]):
        super().__init__()
        self._log_dir = Path(log_dir)
        self._meta_batch_size = meta_batch_size
        self._configuration = configuration
        self._writers = None

    def on_train_begin(self, logs=None):
        if self._writers is not None:
            return
        self._writers = {
            part: tf.summary.create_file_writer(str(self._log_dir / part)) for part in ("train", "validation")
        }
        simple = {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in self._configuration.items()
        }
        with self._writers["validation"].as_default():
            hparams.hparams(simple)

    def on_epoch_end(self, epoch, logs=None):
        parts = {}
        for name, value in logs.items():
            prefix = next((prefix for prefix in _MEASURED if name.startswith(prefix)), "")
            parts.setdefault(_MEASURED.get(prefix, "train"), {})[name.removeprefix(prefix)] = value
        if "train" in parts:
            parts["train"]["learning_rate"] = float(tf.convert_to_tensor(self.model.optimizer.learning_rate))
        for part, values in parts.items():
            if part not in self._writers:
                self._writers[part] = tf.summary.create_file_writer(str(self._log_dir / part))
            with self._writers[part].as_default(step=_episodes(self.model, self._meta_batch_size)):
                for name, value in values.items():
                    tf.summary.scalar(f"epoch_{name}", value)
            self._writers[part].flush()


class EpisodeBoard(keras.callbacks.Callback):
    """Writes, after each epoch, the method's results on one fixed episode.

    Args:
        log_dir: for the event file.
        meta_batch_size: episodes in a step.
        episode: a meta-validation episode with uint8 images.
        class_names: of the episode's classes, for the image; None for their numbers.
    """

    def __init__(
        self,
        log_dir: Path,
        meta_batch_size: int,
        episode: Episode,
        class_names: list[str] | None = None,
    ):
        super().__init__()
        self._log_dir = str(log_dir)
        self._meta_batch_size = meta_batch_size
        self._episode = episode
        self._class_names = class_names
        self._writer = None

    def on_train_begin(self, logs=None):
        if self._writer is not None:
            return
        self._writer = tf.summary.create_file_writer(self._log_dir)
        self._look = tf.function(self._look_at_episode, autograph=False)

    def _look_at_episode(self):
        support = self._episode.support_images, self._episode.support_labels
        logits = self.model.classify(self.model.adapt(*support), self._episode.query_images)
        # A method may have outputs for more classes than the episode.
        probabilities = tf.nn.softmax(logits)[:, : int(np.max(self._episode.support_labels)) + 1]
        return probabilities, self.model.diagnostics(*support)

    def on_epoch_end(self, epoch, logs=None):
        probabilities, diagnostics = self._look()
        with self._writer.as_default(step=_episodes(self.model, self._meta_batch_size)):
            for name, values in diagnostics.items():
                tf.summary.histogram(name, values)
                tf.summary.scalar(f"mean_{name}", tf.reduce_mean(values))
            sheet = episode_sheet(
                *(np.asarray(tensor) for tensor in self._episode),
                np.asarray(probabilities),
                self._class_names,
            )
            tf.summary.image("meta_validation_episode", sheet[None])
        self._writer.flush()


def _episodes(model, meta_batch_size):
    """The number of episodes that a method was trained on so far."""
    return int(tf.convert_to_tensor(model.optimizer.iterations)) * meta_batch_size
