"""Features of one size, so that a dense head compares directions."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ml_lstm")
class UnitFeatures(keras.layers.Layer):
    r"""Scales the features of each image to a mean square of one.

    .. math:: x \mapsto x / \sqrt{\mathrm{mean}(x^2) + 10^{-6}}

    A gradient step from a shared head adds the support images' features, less their mean, to the output weights. With
    features of one length, logits are then cosines with the support images, up to a factor and what classes share.
    keras.layers.UnitNormalization makes features so short that steps need other rates; RMSNormalization has weights,
    which methods would adapt.
    """

    def call(self, inputs):
        """Features [n, F], scaled."""
        return inputs * tf.math.rsqrt(tf.reduce_mean(tf.square(inputs), axis=-1, keepdims=True) + 1e-6)
