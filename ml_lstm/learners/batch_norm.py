"""Batch normalization whose running averages belong to one episode."""

import keras
import tensorflow as tf

_AXES = [0, 1, 2]


def _count_of(x, mean):
    """The number of values of `x` in each channel's mean."""
    return tf.cast(tf.size(x) // tf.size(mean), x.dtype)


@tf.custom_gradient
def _mean_of(x, mean):
    """The fused kernel's own `mean` of `x`, with the gradient with respect to `x` that TensorFlow drops."""
    return tf.identity(mean), lambda d_mean: (tf.broadcast_to(d_mean / _count_of(x, mean), tf.shape(x)), None)


@tf.custom_gradient
def _moments_of(x, mean, variance):
    """The fused kernel's own `mean` and `variance` of `x`, with the gradient to `x` that TensorFlow drops."""

    def gradient(d_mean, d_variance):
        # The second derivative needs the gradient of the mean in here too.
        centred = x - _mean_of(x, mean)
        return (d_mean + 2.0 * d_variance * centred) / _count_of(x, mean), None, None

    return (tf.identity(mean), tf.identity(variance)), gradient


@tf.custom_gradient
def _without_effect(outputs, bias):
    """Returns `outputs` unchanged; the gradient with respect to `bias` exists and is zero."""
    return tf.identity(outputs), lambda d_outputs: (d_outputs, tf.zeros_like(bias))


@keras.saving.register_keras_serializable("ml_lstm")
class EpisodicBatchNormalization(keras.layers.Layer):
    r"""Batch normalization over [n, H, W, C] that collects its averages afresh in each episode.

    With `training=True`, a batch is normalised by its own mean and (biased) variance. The batch is then added to the
    averages, where the newest batch has the weight `momentum`:

    .. math:: \mu \leftarrow (1 - momentum)\,\mu + momentum\,\mu_{batch}

    and likewise for the variance; the first batch of an episode *is* the average. With `training=False` a
    batch is normalised by the averages. In calls through `FunctionalLearner`, the averages are part of the
    learner's state. They restart with every episode and never reach this layer's variables, which stay at
    mean 0 and variance 1. The weight of the newest batch is large because an episode has few steps and its later
    weights matter more (Ravi & Larochelle 2017, section 3.4).

    A frozen layer (`trainable=False`) normalises by its averages and leaves them unchanged, even with
    `training=True`, like `keras.layers.BatchNormalization`.

    Second derivatives are correct too. Those of `keras.layers.BatchNormalization` (through `tf.nn.moments`) are not,
    and `MetaLSTM(second_order=True)` needs them.

    The layer runs on the `FusedBatchNormV3` kernel, which takes about half the time of composed operations on a CPU.
    The kernel does not accept float64 inputs; for them the operations are composed.

    Args:
        momentum: weight of the newest batch in the averages, in (0, 1]; the authors' code uses 0.9 and 0.95. None lets
            the method that uses the learner decide, see `take_momentum`; without a method it means 0.9.
        epsilon: added to the variance.

    Raises:
        ValueError: for a momentum outside (0, 1].
    """

    def __init__(self, momentum: float | None = None, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        if momentum is not None and not 0.0 < momentum <= 1.0:
            raise ValueError(f"momentum must be in (0, 1], got {momentum}.")
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = (input_shape[-1],)
        # float32, whatever dtype the inputs have.
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)
        average = {"trainable": False, "autocast": False}
        self.mean = self.add_weight(name="mean", shape=shape, initializer="zeros", **average)
        self.variance = self.add_weight(name="variance", shape=shape, initializer="ones", **average)
        self.collected = self.add_weight(name="collected", shape=(), initializer="zeros", **average)

    def call(self, inputs, training=False, bias=None):
        """Normalises a batch.

        Args:
            inputs: [n, H, W, C].
            training: whether to normalise by the batch's own mean and variance, and to add these to the averages.
            bias: [C], added to the inputs before this layer, with `training=True` only. In fact it is never added, as
                subtracting the batch's mean would cancel it, but the averages are those of the sum.
        """
        if not (training and self.trainable):
            factor, offset = self.factor_and_offset(*self.averages())
            return inputs * tf.cast(factor, inputs.dtype) + tf.cast(offset, inputs.dtype)
        outputs, mean, variance = self._normalize(inputs)
        return self.collect(outputs, mean, variance, bias)

    def collect(self, outputs, mean, variance, bias=None):
        """Adds a batch to the averages.

        Args:
            outputs: the normalised batch, or any part of it.
            mean: of the batch, [C].
            variance: of the batch, biased, [C].
            bias: as in `call`.

        Returns:
            The outputs, on which the bias has no effect.
        """
        if bias is not None:
            mean += tf.cast(bias, mean.dtype)
            outputs = _without_effect(outputs, bias)
        momentum = tf.constant(self.momentum or 0.9, mean.dtype)
        newest = tf.where(tf.convert_to_tensor(self.collected) > 0, momentum, tf.ones_like(momentum))
        self.mean.assign((1 - newest) * self.mean + newest * mean)
        self.variance.assign((1 - newest) * self.variance + newest * variance)
        self.collected.assign(tf.ones_like(self.collected))
        return outputs

    def averages(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean and the variance that `training=False` normalises by, [C] each."""
        return tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance)

    def factor_and_offset(self, mean, variance) -> tuple[tf.Tensor, tf.Tensor]:
        """What normalising by a mean and a variance, all [C], does to a batch: outputs are inputs x factor + offset."""
        factor = tf.convert_to_tensor(self.gamma) * tf.math.rsqrt(variance + self.epsilon)
        return factor, tf.convert_to_tensor(self.beta) - mean * factor

    def _normalize(self, inputs):
        scale, offset = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if inputs.dtype == tf.float64:
            # Not tf.nn.moments: it stops a gradient that is zero, but the derivative of that gradient is not zero.
            mean = tf.reduce_mean(inputs, _AXES)
            variance = tf.reduce_mean(tf.square(inputs - mean), _AXES)
            return (
                tf.nn.batch_normalization(inputs, mean, variance, offset, scale, self.epsilon),
                mean,
                variance,
            )
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, scale, offset, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.size(inputs) // tf.size(mean), mean.dtype)
        # The kernel returns the unbiased variance, although it normalises by the biased one.
        variance *= (count - 1) / count
        mean, variance = _moments_of(tf.cast(inputs, mean.dtype), mean, variance)
        return outputs, mean, variance
