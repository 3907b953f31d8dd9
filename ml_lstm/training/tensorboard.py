"""What TensorBoard shows of a run beside Keras's scalars: gates, an episode as a picture, the configuration."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from ml_lstm.episode import Episode
from ml_lstm.plots.episode_sheet import episode_sheet


class EpisodeBoard(keras.callbacks.Callback):
    """Writes, after each epoch, how the method handles one fixed episode.

    Args:
        log_dir: for the event file.
        episode: a meta-validation episode with uint8 images.
        configuration: shown under HParams; lists are shown as text.
        class_names: of the episode's classes, for the picture; None for their numbers.
    """

    def __init__(
        self,
        log_dir: Path,
        episode: Episode,
        configuration: dict[str, Any],
        class_names: list[str] | None = None,
    ):
        super().__init__()
        self._log_dir = str(log_dir)
        self._episode = episode
        self._configuration = configuration
        self._class_names = class_names
        self._writer = None

    def on_train_begin(self, logs=None):
        if self._writer is not None:
            return
        self._writer = tf.summary.create_file_writer(self._log_dir)
        self._look = tf.function(self._look_at_episode, autograph=False)
        simple = {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in self._configuration.items()
        }
        with self._writer.as_default():
            hparams.hparams(simple)

    def _look_at_episode(self):
        support = self._episode.support_images, self._episode.support_labels
        logits = self.model.classify(self.model.adapt(*support), self._episode.query_images)
        # A method may tell more classes apart than the episode has.
        probabilities = tf.nn.softmax(logits)[:, : int(np.max(self._episode.support_labels)) + 1]
        return probabilities, self.model.diagnostics(*support)

    def on_epoch_end(self, epoch, logs=None):
        probabilities, diagnostics = self._look()
        with self._writer.as_default(step=epoch):
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
