"""The networks of Meta Networks that map gradients to fast weights (Munkhdalai & Yu, ICML 2017).

Both run over each coordinate on its own, with shared weights, on preprocessed gradients.
"""

import keras
import tensorflow as tf

from ml_lstm.cells.preprocessing import preprocess


class FastWeightsMLP(keras.layers.Layer):
    """m: three dense layers that map a gradient to a weight, for each coordinate: [..., P] to [..., P]."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(units, activation="relu", dtype=self.dtype_policy)
        self.second = keras.layers.Dense(units, activation="relu", dtype=self.dtype_policy)
        self.last = _nearly_nothing(self.dtype_policy)
        for layer, width in ((self.first, 2), (self.second, units), (self.last, units)):
            layer.build((None, width))
        self.built = True

    def call(self, gradients):
        return tf.squeeze(self.last(self.second(self.first(_features(gradients)))), axis=-1)


class FastWeightsLSTM(keras.layers.Layer):
    """d: an LSTM over gradients and a dense layer, for each coordinate: T tensors [P] to one [P]."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.lstm = keras.layers.LSTMCell(units, dtype=self.dtype_policy)
        self.last = _nearly_nothing(self.dtype_policy)
        self.lstm.build((None, 2))
        self.last.build((None, units))
        self.built = True

    def call(self, gradients):
        hidden = cell = tf.zeros([tf.size(gradients[0]), self.units], self.compute_dtype)
        for gradient in gradients:
            hidden, (_, cell) = self.lstm(_features(gradient), [hidden, cell])
        return tf.squeeze(self.last(hidden), axis=-1)


def _features(gradients):
    """Preprocessed values of any shape; the two features are the last dimension, as Keras's layers need them."""
    return keras.ops.moveaxis(preprocess(gradients), 0, -1)


def _nearly_nothing(dtype):
    """The last layer of d and of m; fast weights start much smaller than slow ones, so slow weights dominate first."""
    return keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3), dtype=dtype)
