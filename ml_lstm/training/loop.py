"""Keras's `fit`, in as many calls as an exact resume needs."""

from collections.abc import Sequence
from typing import Annotated

import keras
import tensorflow as tf

from ml_lstm.data import FewShotData
from ml_lstm.distribution import Distribution
from ml_lstm.options import FREE, Count, checked
from ml_lstm.training.average_weights import AverageWeights
from ml_lstm.training.callbacks import Tune, ValidateTrainClasses
from ml_lstm.training.meta_step import MetaLearner


def steps_of(episodes: int, meta_batch_size: int) -> int:
    """Meta-steps that `episodes` take; the last one may go a little beyond."""
    return -(-episodes // meta_batch_size)


@checked
def meta_train(
    method: MetaLearner,
    data: FewShotData,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    shared: Distribution | None = None,
    averages: AverageWeights | None = None,
    *,
    episodes: Annotated[Count, FREE] = 10_000,
    meta_batch_size: Count = 1,
    validation_interval: Count = 1000,
    validate_train_classes: Annotated[bool, FREE] = False,
) -> None:
    """Trains a compiled method from the meta-step that its optimizer has reached to the last one.

    An epoch is the time between two meta-validations. The episodes of a step depend on its number alone, so
    that a run continued from any step sees what an undisturbed run sees. For a method that trains on batches of
    images, a batch counts as an episode; one that has nothing to train is validated, and that is all.

    Args:
        method: compiled; `method.optimizer.iterations` says where to begin.
        data: what to train on, and meta-validation episodes.
        callbacks: for `fit`; one of them may set `method.stop_training`.
        verbose: see `keras.Model.fit`.
        shared: among which devices a meta-batch is shared; it has prepared the method. None for one device.
        averages: of the method's weights, to be validated in their place; None for the weights themselves.
        episodes: episodes to meta-train for, in all; those before the beginning counted in.
        meta_batch_size: episodes in a meta-step.
        validation_interval: episodes between meta-validations, an epoch; the run is saved as often.
        validate_train_classes: whether each meta-validation also measures as many problems of the same kind (`n_way`,
            `k_shot`, `n_query`) of meta-train classes, their images as they are. If that accuracy rises while the
            meta-validation accuracy falls, the method over-fits.
    """
    shared = shared or Distribution()
    validation = data.validation.batch(1, drop_remainder=True)
    measured = [Tune(validation)]
    if validate_train_classes:
        measured.append(ValidateTrainClasses(data.train_classes_validation.batch(1, drop_remainder=True)))
    callbacks = [*([averages] if averages else ()), *measured, *callbacks]
    if not method.trains:
        _validate(method, validation, callbacks, verbose)
        return
    step, last = int(tf.convert_to_tensor(method.optimizer.iterations)), steps_of(episodes, meta_batch_size)
    epoch_steps = steps_of(validation_interval, meta_batch_size)
    sampler = method.training_sampler(data)
    while step < last:
        epoch, within = divmod(step, epoch_steps)
        # Whole epochs in one call; what is left of one begun before, or a short last one, in a call of its own.
        whole = 0 if within else (last - step) // epoch_steps
        steps = epoch_steps if whole else min(epoch_steps - within, last - step)
        method.fit(
            shared.dataset(sampler, step * meta_batch_size, meta_batch_size),
            initial_epoch=epoch,
            epochs=epoch + max(whole, 1),
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=callbacks,
            verbose=verbose,
            shuffle=False,
        )
        if method.stop_training:
            return
        step += steps * max(whole, 1)


def _validate(
    method: MetaLearner,
    validation: tf.data.Dataset,
    callbacks: list[keras.callbacks.Callback],
    verbose: int | str,
) -> None:
    """An epoch without a step, so that the callbacks save and show what they always do."""
    listed = keras.callbacks.CallbackList(callbacks, model=method)
    listed.on_train_begin()
    listed.on_epoch_begin(0)
    logs = method.evaluate(validation, callbacks=callbacks, verbose=verbose, return_dict=True)
    listed.on_epoch_end(0, {f"val_{name}": value for name, value in logs.items()})
    listed.on_train_end()
