"""Features of one size, so that a dense head compares directions."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ml_lstm")
class UnitFeatures(keras.layers.Layer):
    r"""Scales the features of each image to a mean square of one.

    .. math:: x \mapsto x / \sqrt{\mathrm{mean}(x^2) + 10^{-6}}

    The logits of a dense head are then its weights' products with features of one length. After a gradient step from a
    shared head these are the cosines with the support images, up to a factor.
    """

    def call(self, inputs):
        """Features [n, F], scaled."""
        return inputs * tf.math.rsqrt(tf.reduce_mean(tf.square(inputs), axis=-1, keepdims=True) + 1e-6)
