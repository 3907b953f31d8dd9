"""Keras's `fit`, split into the calls that an exact resume needs."""

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
    """The number of meta-steps for `episodes`; the last step may contain a few more episodes."""
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

    An epoch is the time between two meta-validations. The episodes of a step depend only on its number, so
    a run that resumes at any step gets the same episodes as an uninterrupted run. For a method that trains on batches
    of images, a batch counts as an episode. A method that has nothing to train is only validated.

    Args:
        method: compiled; training starts at `method.optimizer.iterations`.
        data: the training data, and meta-validation episodes.
        callbacks: for `fit`; one of them may set `method.stop_training`.
        verbose: see `keras.Model.fit`.
        shared: the devices that share a meta-batch; it has prepared the method. None for one device.
        averages: of the method's weights, validated instead of them; None for the weights themselves.
        episodes: total number of episodes to meta-train for, including those before a resume.
        meta_batch_size: episodes in a meta-step.
        validation_interval: episodes between meta-validations, an epoch; the run is saved equally often.
        validate_train_classes: whether each meta-validation also measures equally many problems of the same kind
            (`n_way`, `k_shot`, `n_query`) of meta-train classes, with unchanged images. If that accuracy rises while
            the meta-validation accuracy falls, the method is overfitting.
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
        # Whole epochs in one call; the rest of an epoch begun earlier, or a short last epoch, in a separate call.
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
    """An epoch without steps, so that the callbacks save and show what they usually do."""
    listed = keras.callbacks.CallbackList(callbacks, model=method)
    listed.on_train_begin()
    listed.on_epoch_begin(0)
    logs = method.evaluate(validation, callbacks=callbacks, verbose=verbose, return_dict=True)
    listed.on_epoch_end(0, {f"val_{name}": value for name, value in logs.items()})
    listed.on_train_end()
