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
        weights = [tf.convert_to_tensor(weight) for weight in (self.kernel, self.bias, self.recurrent_kernel)]
        hidden, cell = _step(*weights, inputs, *states)
        return hidden, (hidden, cell)


@tf.custom_gradient
def _step(kernel, bias, recurrent_kernel, inputs, hidden, cell):
    """`(h, c)` [H, P] from [F, 4 H], [4 H], [H, 4 H], [F, P], and the h and c before [H, P]."""
    rows = [inputs.shape[0], 1, hidden.shape[0]]
    # The bias is the weight of a row of ones, so that the product that is its kernels' gradient is its own as well.
    weights = tf.concat([kernel, bias[None, :], recurrent_kernel], axis=0)
    seen = tf.concat([inputs, tf.ones_like(inputs[:1]), hidden], axis=0)
    # A sigmoid of z is (1 + tanh(z / 2)) / 2, so one tanh makes all four gates.
    slope = tf.repeat(tf.constant([0.5, 0.5, 1.0, 0.5], cell.dtype), hidden.shape[0])[:, None]
    squashed = tf.tanh(slope * tf.matmul(weights, seen, transpose_a=True))
    i, f, g, o = tf.split(slope * squashed + (1 - slope), 4, axis=0)
    new_cell = f * cell + i * g
    tanh_cell = tf.tanh(new_cell)

    def gradient(d_hidden, d_cell):
        d_cell += d_hidden * o * (1 - tf.square(tanh_cell))
        d_gates = tf.concat([d_cell * g, d_cell * cell, d_cell * i, d_hidden * tanh_cell], axis=0)
        d_z = d_gates * tf.square(slope) * (1 - tf.square(squashed))
        d_kernel, d_bias, d_recurrent_kernel = tf.split(tf.matmul(seen, d_z, transpose_b=True), rows)
        # Apart, since the inputs' gradient often is not needed.
        d_inputs, d_last_hidden = tf.matmul(kernel, d_z), tf.matmul(recurrent_kernel, d_z)
        return d_kernel, d_bias[0], d_recurrent_kernel, d_inputs, d_last_hidden, d_cell * f

    return (o * tanh_cell, new_cell), gradient
