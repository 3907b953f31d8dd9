"""Averages of the weights over meta-steps, which are validated, saved and served instead of the weights."""

from typing import Annotated

import keras
import tensorflow as tf

from ml_lstm.options import Rule, check
from ml_lstm.training.meta_step import MetaLearner

_Momentum = Annotated[float, Rule(lambda value: 0 <= value < 1, "at least 0 and below 1")]


class AverageWeights(keras.callbacks.Callback):
    r"""Keeps a running average of all variables that training changes, and gives it to the method for each validation.

    The average of a weight starts from the weight's initial value. After meta-step d = 1, 2, ... it becomes

    .. math:: \bar\theta_d = m_d\,\bar\theta_{d-1} + (1 - m_d)\,\theta_d, \quad m_d = \min(m, (1 + d) / (10 + d))

    (Polyak & Juditsky, *Acceleration of Stochastic Approximation by Averaging*, 1992; the bound, which makes early
    steps count less, is that of `tf.train.ExponentialMovingAverage`). Training continues from its own weights, as if
    there were no averages. When `fit` ends, the method has the averages.

    The averages include the weights that the optimizer changes and the running averages that a method keeps over
    training (batch norm's). `keras.callbacks.SwapEMAWeights` and the optimizers' `use_ema` leave the latter unchanged,
    so that they belong to other weights. Put this callback before all that validate or show the method.

    Args:
        method: built, with the weights that training starts from.
        average_weights: momentum m of a running average of the weights over meta-steps, for example 0.999. The average
            is validated, kept as best and exported. 0: no average; the weights themselves are used.

    Attributes:
        state: what a checkpoint must hold to continue training; save it while the method has its own weights.

    Raises:
        ValueError: for a momentum out of range.
    """

    def __init__(self, method: MetaLearner, *, average_weights: _Momentum = 0.0):
        super().__init__()
        check(type(self), {"average_weights": average_weights})
        self._method = method
        self._momentum = average_weights
        self._weights = [*_floats(method.trainable_variables), *_floats(method.kept_averages)]
        self._averages = [tf.Variable(tf.convert_to_tensor(weight), trainable=False) for weight in self._weights]
        trained = len(_floats(method.trainable_variables))
        # Two lists, as a method that is only served may lack the last of the trained weights, those of a head.
        self.state = tf.train.Checkpoint(trained=self._averages[:trained], kept=self._averages[trained:])
        self._lent = False
        self._take_in = tf.function(self._taken_in, autograph=False)

    def lend(self) -> None:
        """Gives the method the averages instead of its own weights, unless it has them already."""
        if not self._lent:
            self._swap()

    def give_back(self) -> None:
        """Gives the method its own weights back, if it has the averages."""
        if self._lent:
            self._swap()

    def _swap(self):
        for weight, average in zip(self._weights, self._averages, strict=True):
            now = tf.convert_to_tensor(weight)
            weight.assign(tf.convert_to_tensor(average))
            average.assign(now)
        self._lent = not self._lent

    def _taken_in(self, step):
        step = tf.cast(step, tf.float64)
        newest = tf.maximum(tf.constant(1 - self._momentum, tf.float64), 9 / (10 + step))
        for weight, average in zip(self._weights, self._averages, strict=True):
            before = tf.convert_to_tensor(average)
            average.assign(before + tf.cast(newest, before.dtype) * (tf.convert_to_tensor(weight) - before))

    def on_train_begin(self, logs=None):
        self.give_back()

    def on_epoch_begin(self, epoch, logs=None):
        self.give_back()

    def on_train_batch_end(self, batch, logs=None):
        self._take_in(tf.convert_to_tensor(self._method.optimizer.iterations))

    def on_test_begin(self, logs=None):
        self.lend()

    def on_train_end(self, logs=None):
        self.lend()


def _floats(variables):
    return [variable for variable in variables if tf.as_dtype(variable.dtype).is_floating]
