"""A line about the progress of a run."""

import time

import keras
import tensorflow as tf

from ml_lstm.training.progress import Progress


class Outlook(keras.callbacks.Callback):
    """Prints after each epoch how far the whole run is, the remaining time, and the best accuracy so far.

    Before the first one it prints how much there is to do, since the first step is slow and would leave a log empty.

    The remaining time is estimated from this process's meta-steps and validations so far, without the first step, which
    traces graphs. Put this callback after `SaveProgress`, which updates `progress`, and after
    `keras.callbacks.ProgbarLogger`, whose line it would break.

    Args:
        progress: updated by `SaveProgress`.
        episodes: total number of episodes.
        meta_batch_size: episodes in a step.
    """

    def __init__(self, progress: Progress, episodes: int, meta_batch_size: int):
        super().__init__()
        self._progress = progress
        self._last = -(-episodes // meta_batch_size)
        self._meta_batch_size = meta_batch_size
        self._first = None

    @property
    def _step(self) -> int:
        return int(tf.convert_to_tensor(self.model.optimizer.iterations))

    def on_train_begin(self, logs=None):
        left = (self._last - self._step) * self._meta_batch_size
        print(f"Meta-training for {left} episodes. The first step is slow: it also builds the graphs.", flush=True)

    def on_train_batch_end(self, batch, logs=None):
        if self._first is None:
            self._first = self._step, time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        step = self._step
        done, of_all = step * self._meta_batch_size, self._last * self._meta_batch_size
        left = "" if step >= self._last else self._left(step)
        best, accuracy = max(self._progress.validations, key=lambda validation: validation[1])
        print(
            f"Episode {done} of {of_all} ({100 * step // self._last} %){left}; best meta-validation accuracy "
            f"{100 * accuracy:.1f} % at episode {best}.",
            flush=True,
        )

    def _left(self, step):
        first, start = self._first
        if step == first:
            return ""
        return f", {in_words((time.monotonic() - start) * (self._last - step) / (step - first))} left"


def in_words(seconds: float) -> str:
    """A waiting time in words, rounded as in speech: `3 h 20 min`, `12 min` or `40 s`."""
    seconds = round(seconds)
    if seconds < 90:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
