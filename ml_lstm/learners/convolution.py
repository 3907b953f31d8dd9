"""Convolutions that are as fast, there and back, as TensorFlow's kernels allow."""

import keras
import tensorflow as tf

from ml_lstm.learners.batch_norm import EpisodicBatchNormalization


@tf.custom_gradient
def _add_bias(x, bias):
    """`x` [n, H, W, C] plus `bias` [C].

    TensorFlow would join `BiasAddGrad` and the convolution's gradient to its kernel, if of the same tensor, into one
    oneDNN call, which for few input channels is much slower than the two apart.
    """

    def gradient(d_sum):
        return d_sum, tf.raw_ops.BiasAddGrad(out_backprop=tf.reshape(d_sum, [-1, d_sum.shape[-1]]))

    return tf.nn.bias_add(x, bias), gradient


@keras.saving.register_keras_serializable("ml_lstm")
class Convolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` over [n, H, W, C], with the same weights, numbers and arguments, and a faster gradient."""

    def call(self, inputs):
        return self.activation(self._convolve(inputs, tf.convert_to_tensor(self.kernel), self._own_bias()))

    def _own_bias(self):
        return tf.convert_to_tensor(self.bias) if self.use_bias else None

    def _convolve(self, inputs, kernel, bias):
        outputs = self.convolution_op(inputs, tf.cast(kernel, inputs.dtype))
        return outputs if bias is None else _add_bias(outputs, tf.cast(bias, outputs.dtype))


@keras.saving.register_keras_serializable("ml_lstm")
class NormalizedConvolution(Convolution):
    """A convolution whose outputs are normalised before its activation, by `EpisodicBatchNormalization`.

    The two together are less work than one after the other. A batch that is normalised by its own mean gets no bias,
    which the mean would take away: the bias' gradient is zero. Where the averages normalise (`training=False`), they
    are a factor and an offset of each filter, and these go into the kernel and the bias.

    Args:
        filters: outputs a place.
        kernel_size: height and width.
        momentum: see `EpisodicBatchNormalization`.
        **kwargs: of `keras.layers.Conv2D`.
    """

    def __init__(self, filters: int, kernel_size: int, momentum: float | None = None, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        self.normalization = EpisodicBatchNormalization(momentum, dtype=self.dtype_policy, trainable=self.trainable)

    def build(self, input_shape):
        super().build(input_shape)
        self.normalization.build(self.compute_output_shape(input_shape))

    def call(self, inputs, training=False):
        kernel, bias = tf.convert_to_tensor(self.kernel), self._own_bias()
        if training and self.normalization.trainable:
            return self.activation(self.normalization(self._convolve(inputs, kernel, None), training=True, bias=bias))
        factor, offset = self.normalization.factor_and_offset()
        if bias is not None:
            offset += tf.cast(bias, offset.dtype) * factor
        return self.activation(self._convolve(inputs, tf.cast(kernel, factor.dtype) * factor, offset))

    def get_config(self):
        return super().get_config() | {"momentum": self.normalization.momentum}
