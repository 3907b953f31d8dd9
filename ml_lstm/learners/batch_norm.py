"""Batch normalization whose running averages belong to one episode."""

import keras
import tensorflow as tf

_AXES = [0, 1, 2]


def _count_of(x, mean):
    """How many numbers of `x` a channel's mean is of."""
    return tf.cast(tf.size(x) // tf.size(mean), x.dtype)


@tf.custom_gradient
def _mean_of(x, mean):
    """The fused kernel's own `mean` of `x`, with the gradient to `x` that TensorFlow drops."""
    return tf.identity(mean), lambda d_mean: (tf.broadcast_to(d_mean / _count_of(x, mean), tf.shape(x)), None)


@tf.custom_gradient
def _moments_of(x, mean, variance):
    """The fused kernel's own `mean` and `variance` of `x`, with the gradient to `x` that TensorFlow drops."""

    def gradient(d_mean, d_variance):
        # For the second derivative the mean in here has to know its own gradient too.
        centred = x - _mean_of(x, mean)
        return (d_mean + 2.0 * d_variance * centred) / _count_of(x, mean), None, None

    return (tf.identity(mean), tf.identity(variance)), gradient


@tf.custom_gradient
def _without_effect(outputs, bias):
    """`outputs` as they are; the gradient to `bias` is there, and zero."""
    return tf.identity(outputs), lambda d_outputs: (d_outputs, tf.zeros_like(bias))


@keras.saving.register_keras_serializable("ml_lstm")
class EpisodicBatchNormalization(keras.layers.Layer):
    r"""Batch normalization over [n, H, W, C] that collects its averages afresh in each episode.

    With `training=True`, a batch is normalised by its own mean and (biased) variance, and the averages take
    it in, the newest batch weighing `momentum`:

    .. math:: \mu \leftarrow (1 - momentum)\,\mu + momentum\,\mu_{batch}

    and likewise for the variance; the first batch of an episode *is* the average. With `training=False` a
    batch is normalised by the averages. Called through `FunctionalLearner`, the averages travel in the
    learner's state, start anew with every episode and never reach this layer's variables, which stay at
    mean 0 and variance 1. The weight on the newest is large because an episode has few steps and its later
    weights matter more (Ravi & Larochelle 2017, section 3.4).

    Frozen (`trainable=False`), the layer normalises by its averages as they are, even with `training=True`, like
    `keras.layers.BatchNormalization`.

    Second derivatives are right too, unlike those of `keras.layers.BatchNormalization` (by way of
    `tf.nn.moments`), which `MetaLSTM(second_order=True)` would need.

    Runs on the `FusedBatchNormV3` kernel, about half the time of composed operations on a CPU; float64
    inputs, which the kernel does not take, are composed.

    Args:
        momentum: weight of the newest batch in the averages, in (0, 1]; 0.9 and 0.95 in the authors' code. None leaves
            it to the method that the learner is given to, see `take_momentum`; 0.9 without one.
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
        # float32 whatever the inputs are.
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
            training: whether by its own mean and variance, which the averages then take in.
            bias: [C] to be added to the inputs, with `training=True` only. It never is, as the batch's own mean would
                take it away again, but the averages are those of the sum.
        """
        if not (training and self.trainable):
            factor, offset = self.factor_and_offset(*self.averages())
            return inputs * tf.cast(factor, inputs.dtype) + tf.cast(offset, inputs.dtype)
        outputs, mean, variance = self._normalize(inputs)
        return self.collect(outputs, mean, variance, bias)

    def collect(self, outputs, mean, variance, bias=None):
        """Has the averages take a batch in.

        Args:
            outputs: what the batch was normalised to, any part of it.
            mean: of the batch, [C].
            variance: of the batch, biased, [C].
            bias: as of a call.

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
        """What a mean and a variance make of a batch, all [C]: outputs are inputs x factor + offset."""
        factor = tf.convert_to_tensor(self.gamma) * tf.math.rsqrt(variance + self.epsilon)
        return factor, tf.convert_to_tensor(self.beta) - mean * factor

    def _normalize(self, inputs):
        scale, offset = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if inputs.dtype == tf.float64:
            # Not tf.nn.moments: it stops a gradient that is zero, but whose own derivative is not.
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
        # The kernel returns the unbiased variance, having normalised by the biased one.
        variance *= (count - 1) / count
        mean, variance = _moments_of(tf.cast(inputs, mean.dtype), mean, variance)
        return outputs, mean, variance
