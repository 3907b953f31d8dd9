"""Convolutions with forward and backward passes as fast as TensorFlow's kernels allow."""

import math

import keras
import tensorflow as tf

from ml_lstm.learners.batch_norm import EpisodicBatchNormalization


@tf.custom_gradient
def _add_bias(x, bias):
    """`x` [n, H, W, C] plus `bias` [C].

    If `BiasAddGrad` and the gradient with respect to the kernel read the same tensor, TensorFlow fuses them into one
    oneDNN call. For few input channels that call is much slower than two separate ones, so here they read two tensors.
    """

    def gradient(d_sum):
        return d_sum, tf.raw_ops.BiasAddGrad(out_backprop=tf.reshape(d_sum, [-1, d_sum.shape[-1]]))

    return tf.nn.bias_add(x, bias), gradient


@keras.saving.register_keras_serializable("ml_lstm")
class Convolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` over [n, H, W, C] with a faster gradient; weights, results and arguments are the same."""

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

    Both together are less work than one after the other. A batch that is normalised by its own mean gets no bias:
    subtracting the mean would cancel it, and its gradient is zero. When the averages normalise (`training=False`),
    they are a factor and an offset for each filter, which are multiplied into the kernel and the bias.

    The batch's own mean and variance are treated the same way if they are known before the outputs. Outputs are linear
    in the kernel k, so their mean and variance are m k and k C k, where m and C are the mean and the covariance of the
    input patches under the kernel. A first layer reads few channels, so its patches are small: the layer is one matrix
    product of them, and batch norm needs no forward or backward pass over feature maps. Patches, m and C depend only
    on the images, and TensorFlow computes them once for all inner steps on the same images.

    Args:
        filters: output channels.
        kernel_size: height and width.
        momentum: see `EpisodicBatchNormalization`.
        **kwargs: see `keras.layers.Conv2D`.
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
            if self._has_small_patches(inputs):
                return self.activation(self._normalize_by_patches(inputs, kernel, bias))
            return self.activation(self.normalization(self._convolve(inputs, kernel, None), training=True, bias=bias))
        factor, offset = self.normalization.factor_and_offset(*self.normalization.averages())
        if bias is not None:
            offset += tf.cast(bias, offset.dtype) * factor
        return self.activation(self._convolve(inputs, tf.cast(kernel, factor.dtype) * factor, offset))

    def _has_small_patches(self, inputs):
        # bfloat16 has too few digits for a covariance, and an accelerator is slower with patches.
        exact = inputs.dtype in (tf.float32, tf.float64) and not tf.config.get_visible_devices("GPU")
        return exact and self.groups == 1 and math.prod(self.kernel.shape[:-1]) <= self.filters

    def _normalize_by_patches(self, inputs, kernel, bias):
        patches, centre = self._patches(inputs)
        moments = tf.matmul(patches, patches, transpose_a=True) / tf.cast(tf.shape(patches)[0], patches.dtype)
        patch_mean = moments[-1, :-1]
        covariance = moments[:-1, :-1] - patch_mean[:, None] * patch_mean
        weights = tf.reshape(kernel, [-1, self.filters])
        mean = tf.linalg.matvec(weights, patch_mean, transpose_a=True)
        variance = tf.reduce_sum(weights * tf.matmul(covariance, weights), axis=0)
        factor, offset = self.normalization.factor_and_offset(mean, variance)
        outputs = tf.matmul(patches, tf.concat([weights * factor, offset[None, :]], axis=0))
        outputs = tf.reshape(outputs, [-1, *self.compute_output_shape(inputs.shape)[1:]])
        mean += tf.linalg.matvec(weights, centre, transpose_a=True)
        return self.normalization.collect(outputs, mean, variance, bias)

    def _patches(self, inputs):
        """The input patches minus `centre`, with a column of ones whose weight is the offset, and `centre`.

        Returns:
            `([places, numbers + 1], [numbers])`; the centre is the channels' means, which makes squares more precise.
        """
        height, width, channels, _ = self.kernel.shape
        numbers = height * width * channels
        centre = tf.tile(tf.reduce_mean(inputs, axis=[0, 1, 2]), [height * width])
        # A convolution that copies its inputs: much faster than tf.image.extract_patches.
        copies = tf.reshape(tf.eye(numbers, numbers + 1, dtype=inputs.dtype), [height, width, channels, -1])
        one = tf.ones([1], inputs.dtype)
        patches = tf.nn.bias_add(self.convolution_op(inputs, copies), tf.concat([-centre, one], axis=0))
        return tf.reshape(patches, [-1, numbers + 1]), centre

    def get_config(self):
        return super().get_config() | {"momentum": self.normalization.momentum}
