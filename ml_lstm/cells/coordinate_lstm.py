"""The LSTM in front of an update rule, with the same weights for every coordinate of a learner."""

from collections.abc import Callable

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ml_lstm")
class CoordinateLSTM(keras.layers.Layer):
    r"""An LSTM cell over P coordinates with shared weights; the coordinates are the last dimension.

    The equations and the weights' shapes are those of `keras.layers.LSTMCell`, which takes [P, F]:

    .. math::
        z_i, z_f, z_g, z_o &= W^\top x_t + U^\top h_{t-1} + b \\
        c_t &= \sigma(z_f) \odot c_{t-1} + \sigma(z_i) \odot \tanh(z_g) \\
        h_t &= \sigma(z_o) \odot \tanh(c_t)

    F and H are small and P is large. With [H, P] each gate is contiguous in memory, so splitting the gates copies
    nothing. The gradient is written by hand: it needs only four gates and two cells, while automatic differentiation
    keeps each intermediate value. All weights start in U(-0.01, 0.01).

    Args:
        units: H.

    Call arguments:
        inputs: [F, P].
        states: `(h, c)`, [H, P] each.
        tanh: the function that computes tanh elementwise; sigmoids are computed with it.

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
            # A new initializer for each weight: one initializer draws the same numbers for two weights of one shape.
            small = keras.initializers.RandomUniform(-0.01, 0.01)
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=small))

    def get_initial_state(self, coordinates: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Zeros for this number of coordinates."""
        zeros = tf.zeros([self.units, coordinates], self.compute_dtype)
        return zeros, zeros

    def call(
        self,
        inputs: tf.Tensor,
        states: tuple[tf.Tensor, tf.Tensor],
        tanh: Callable[[tf.Tensor], tf.Tensor] = tf.tanh,
    ):
        weights = [tf.convert_to_tensor(weight) for weight in (self.kernel, self.bias, self.recurrent_kernel)]
        hidden, cell = _step(tanh, *weights, inputs, *states)
        return hidden, (hidden, cell)


# tanh(x) / x in powers of x^2, numerator and denominator, fitted over |x| <= 8 to minimise the largest relative error
# (6.4e-9). The fit is least squares with weights that grow where the error is large (Lawson 1961).
_NUMERATOR = (
    0.9999999935694444,
    0.1344450049456225,
    3.571601038484803e-3,
    2.1894712944063392e-5,
    1.5230491836682174e-8,
)
_DENOMINATOR = (1.0, 0.4677782781432862, 0.026164454329553825, 3.4112970023540034e-4, 8.522476172876898e-7)


def rational_tanh(x: tf.Tensor) -> tf.Tensor:
    """tanh as a quotient of polynomials, within 4e-7 of tanh; on a CPU it takes half the time of XLA's own tanh.

    Without XLA it is many separate operations, and slower. Dtypes other than float32 get `tf.tanh`.
    """
    if x.dtype != tf.float32:
        return tf.tanh(x)
    x = tf.clip_by_value(x, -8.0, 8.0)
    numerator, denominator = (_polynomial(coefficients, x * x) for coefficients in (_NUMERATOR, _DENOMINATOR))
    return x * numerator / denominator


def _polynomial(coefficients, x):
    *others, value = coefficients
    for coefficient in reversed(others):
        value = value * x + coefficient
    return value


def _step(tanh, *tensors):
    """`(h, c)` [H, P] from weights [F, 4 H], [4 H], [H, 4 H], inputs [F, P], and the previous h and c [H, P]."""

    @tf.custom_gradient
    def step(kernel, bias, recurrent_kernel, inputs, hidden, cell):
        rows = [inputs.shape[0], 1, hidden.shape[0]]
        # The bias is the weight of a row of ones: one product then gives the gradients of the kernels and of the bias.
        weights = tf.concat([kernel, bias[None, :], recurrent_kernel], axis=0)
        seen = tf.concat([inputs, tf.ones_like(inputs[:1]), hidden], axis=0)
        # Split first, before any other operation: XLA then makes one loop of what follows.
        i, f, g, o = tf.split(tf.matmul(weights, seen, transpose_a=True), 4, axis=0)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        new_cell = f * cell + i * g
        tanh_cell = tanh(new_cell)

        def gradient(d_hidden, d_cell):
            d_cell += d_hidden * o * (1 - tf.square(tanh_cell))
            d_i, d_f = d_cell * g * i * (1 - i), d_cell * cell * f * (1 - f)
            d_g, d_o = d_cell * i * (1 - tf.square(g)), d_hidden * tanh_cell * o * (1 - o)
            d_z = tf.concat([d_i, d_f, d_g, d_o], axis=0)
            d_kernel, d_bias, d_recurrent_kernel = tf.split(tf.matmul(seen, d_z, transpose_b=True), rows)
            # A separate product, as the inputs' gradient is often not needed.
            d_inputs, d_last_hidden = tf.matmul(kernel, d_z), tf.matmul(recurrent_kernel, d_z)
            return d_kernel, d_bias[0], d_recurrent_kernel, d_inputs, d_last_hidden, d_cell * f

        return (o * tanh_cell, new_cell), gradient

    def sigmoid(z):
        return 0.5 + 0.5 * tanh(0.5 * z)

    return step(*tensors)
