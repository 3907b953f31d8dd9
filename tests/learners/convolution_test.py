"""The learners' convolution beside Keras's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners.convolution import Convolution


@pytest.mark.parametrize("arguments", [{}, {"use_bias": False}, {"activation": "relu", "strides": 2}])
def test_it_is_keras_convolution_with_its_gradients_of_both_orders(arguments):
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 6, 7, 2)))
    ours, theirs = (
        layer(4, 3, padding="same", dtype="float64", bias_initializer="random_normal", **arguments)
        for layer in (Convolution, keras.layers.Conv2D)
    )
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())

    def derivatives(layer):
        variables = [variable.value for variable in layer.trainable_variables]
        with tf.GradientTape() as second:
            second.watch(x)
            with tf.GradientTape() as first:
                first.watch(x)
                y = layer(x)
                loss = tf.reduce_sum(y**3)
            gradients = first.gradient(loss, [x, *variables])
            norm = tf.add_n([tf.reduce_sum(gradient**2) for gradient in gradients])
        return [y, *gradients, *second.gradient(norm, [x, *variables])]

    for found, expected in zip(derivatives(ours), derivatives(theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_it_is_made_again_from_its_configuration():
    layer = Convolution(4, 3, padding="same")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, Convolution)
    assert again.get_config() == layer.get_config()
