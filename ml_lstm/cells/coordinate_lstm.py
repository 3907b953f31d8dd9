"""The LSTM in front of an update rule, one and the same for every coordinate of a learner."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ml_lstm")
class CoordinateLSTM(keras.layers.Layer):
    r"""An LSTM cell over P coordinates with shared weights, laid out with the coordinates last.

    The equations and the weights' shapes are those of `keras.layers.LSTMCell`, which takes [P, F]:

    .. math::
        z_i, z_f, z_g, z_o &= W^\top x_t + U^\top h_{t-1} + b \\
        c_t &= \sigma(z_f) \odot c_{t-1} + \sigma(z_i) \odot \tanh(z_g) \\
        h_t &= \sigma(z_o) \odot \tanh(c_t)

    With F and H small and P large, [H, P] keeps a gate in one piece of memory, so that nothing is copied where gates
    are taken apart, and the gradient is written out: it needs no more than four gates and two cells, where automatic
    differentiation keeps each intermediate. All weights start in U(-0.01, 0.01).

    Args:
        units: H.

    Call arguments:
        inputs: [F, P].
        states: `(h, c)`, [H, P] each.

    Returns:
        `(h [H, P], (h, c))`.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = (units, units)

    def build(self, inputs_shape, states_shape=None):
        shapes = {
            "kernel": (inputs_shape[0], 4 * self.units),
            "recurrent_kernel": (self.units, 4 * self.units),
            "bias": (4 * self.units,),
        }
        for name, shape in shapes.items():
            # A new one for each: an initializer that draws two of the same shape draws the same numbers.
            small = keras.initializers.RandomUniform(-0.01, 0.01)
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=small))

    def get_initial_state(self, coordinates: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Zeros, for as many coordinates."""
        zeros = tf.zeros([self.units, coordinates], self.compute_dtype)
        return zeros, zeros

    def call(self, inputs: tf.Tensor, states: tuple[tf.Tensor, tf.Tensor]):
        hidden, cell = states
        kernels = tf.concat([tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.recurrent_kernel)], axis=0)
        seen = tf.concat([inputs, hidden], axis=0)
        hidden, cell = _step(kernels, tf.convert_to_tensor(self.bias), seen, cell)
        return hidden, (hidden, cell)

    def get_config(self):
        return super().get_config() | {"units": self.units}


@tf.custom_gradient
def _step(kernels, bias, seen, cell):
    """`(h, c)` [H, P] from [F + H, 4 H], [4 H], [F + H, P] and the c before [H, P]."""
    i, f, g, o = tf.split(tf.matmul(kernels, seen, transpose_a=True) + bias[:, None], 4, axis=0)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    new_cell = f * cell + i * g
    tanh_cell = tf.tanh(new_cell)
    hidden = o * tanh_cell

    def gradient(d_hidden, d_cell):
        d_cell += d_hidden * o * (1 - tf.square(tanh_cell))
        d_z = tf.concat(
            [
                d_cell * g * i * (1 - i),
                d_cell * cell * f * (1 - f),
                d_cell * i * (1 - tf.square(g)),
                d_hidden * hidden * (1 - o),
            ],
            axis=0,
        )
        return tf.matmul(seen, d_z, transpose_b=True), tf.reduce_sum(d_z, 1), tf.matmul(kernels, d_z), d_cell * f

    return (hidden, new_cell), gradient
