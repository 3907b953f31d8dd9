"""Keras's `fit`, in as many calls as an exact resume needs."""

from collections.abc import Sequence

import keras

from ml_lstm.data import FewShotData
from ml_lstm.methods import FewShotClassifier


def steps_of(episodes: int, meta_batch_size: int) -> int:
    """Meta-steps that `episodes` take; the last one may go a little beyond."""
    return -(-episodes // meta_batch_size)


def meta_train(
    method: FewShotClassifier,
    data: FewShotData,
    *,
    episodes: int,
    meta_batch_size: int,
    validation_interval: int,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int | str = "auto",
) -> None:
    """Trains a compiled method from the meta-step that its optimizer has reached to the last one.

    An epoch is the time between two meta-validations. The episodes of a step depend on its number alone, so
    that a run continued from any step sees what an undisturbed run sees.

    Args:
        method: compiled; `method.optimizer.iterations` says where to begin.
        data: meta-training and meta-validation episodes.
        episodes: to train for, those before the beginning counted in.
        meta_batch_size: episodes a step.
        validation_interval: episodes an epoch.
        callbacks: for `fit`; one of them may set `method.stop_training`.
        verbose: see `keras.Model.fit`.
    """
    step, last = int(method.optimizer.iterations), steps_of(episodes, meta_batch_size)
    epoch_steps = steps_of(validation_interval, meta_batch_size)
    sampler = data.sampler("train")
    validation = data.validation.batch(1, drop_remainder=True)
    while step < last:
        epoch, within = divmod(step, epoch_steps)
        # Whole epochs in one call; what is left of one begun before, or a short last one, in a call of its own.
        whole = 0 if within else (last - step) // epoch_steps
        steps = epoch_steps if whole else min(epoch_steps - within, last - step)
        train = sampler.dataset(step * meta_batch_size).batch(meta_batch_size, drop_remainder=True)
        method.fit(
            train.prefetch(2),
            initial_epoch=epoch,
            epochs=epoch + max(whole, 1),
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=list(callbacks),
            verbose=verbose,
            shuffle=False,
        )
        if method.stop_training:
            return
        step += steps * max(whole, 1)
