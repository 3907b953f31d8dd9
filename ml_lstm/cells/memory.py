r"""The recurrent cell of memory-augmented networks (Santoro et al., ICML 2016): an LSTM with an external memory."""

import keras
import tensorflow as tf


def least_used(usage: tf.Tensor, count: int) -> tf.Tensor:
    """1 for the `count` smallest values of `usage` [B, N], else 0; of equal values, the first."""
    _, rows = tf.math.top_k(-usage, count)
    return tf.reduce_sum(tf.one_hot(rows, tf.shape(usage)[-1], dtype=usage.dtype), axis=1)


def content_weights(keys: tf.Tensor, memory: tf.Tensor) -> tf.Tensor:
    """Softmax over rows of the cosine of each key [B, R, M] with each row of memory [B, N, M]: [B, R, N]."""
    keys, rows = (tf.nn.l2_normalize(vectors, axis=-1, epsilon=1e-8) for vectors in (keys, memory))
    return tf.nn.softmax(tf.matmul(keys, rows, transpose_b=True))


@keras.saving.register_keras_serializable("ml_lstm")
class MemoryCell(keras.layers.Layer):
    r"""An LSTM controller that reads a memory by content and writes to the least used or the last used rows.

    At time t the controller reads the input and the previous reads, and outputs a key k_t for each head.
    Each head writes its key, then reads with it; rows i = 1 ... N:

    .. math::
        w^w_t &= \sigma(\alpha) w^r_{t-1} + (1 - \sigma(\alpha)) w^{lu}_{t-1} \\
        M_t(i) &= M_{t-1}(i) + w^w_t(i) k_t \quad\text{(after the least used row of time t - 1 is set to zero)} \\
        w^r_t &= \mathrm{softmax}_i(\cos(k_t, M_t(i))), \qquad r_t = \sum_i w^r_t(i) M_t(i) \\
        w^u_t &= \gamma w^u_{t-1} + w^r_t + w^w_t \\
        w^{lu}_t(i) &= 1 \text{ for the n least of } w^u_t \text{, else } 0

    There are n heads, whose writes and usages are summed, and :math:`\alpha` is learned. The paper defines the last
    line as 1 wherever the usage is at most the n-th smallest, which would mark all rows that were never used; here, of
    equal values, only the first are marked. The memory starts at 1e-6 everywhere; so short a row has no direction, and
    its cosine with any key is near 0.

    Args:
        units: of the controller.
        rows: N.
        width: M, the length of a row.
        heads: n.
        decay: :math:`\gamma`.

    Raises:
        ValueError: for more heads than rows.
    """

    def __init__(
        self, units: int = 200, rows: int = 128, width: int = 40, heads: int = 4, decay: float = 0.95, **kwargs
    ):
        super().__init__(**kwargs)
        if heads > rows:
            raise ValueError(f"There must be as many rows as heads; got {rows} rows and {heads} heads.")
        self.units, self.rows, self.width, self.heads, self.decay = units, rows, width, heads, decay
        self.controller = keras.layers.LSTMCell(units, dtype=self.dtype_policy)
        self.keys = keras.layers.Dense(heads * width, activation="tanh", name="keys", dtype=self.dtype_policy)

    @property
    def state_size(self):
        """Shapes of the controller's h and c, the memory, the last reads, the read weights and the usage."""
        return [
            (self.units,),
            (self.units,),
            (self.rows, self.width),
            (self.heads * self.width,),
            (self.heads, self.rows),
            (self.rows,),
        ]

    @property
    def output_size(self):
        """The width of the controller's output and all reads together."""
        return self.units + self.heads * self.width

    def build(self, input_shape):
        self.controller.build((input_shape[0], input_shape[-1] + self.heads * self.width))
        self.keys.build((None, self.units))
        self.alpha = self.add_weight(name="alpha", shape=(), initializer="zeros")

    def get_initial_state(self, batch_size):
        """Zeros, except 1e-6 for the memory."""
        zeros = [tf.zeros((batch_size, *shape), self.compute_dtype) for shape in self.state_size]
        zeros[2] += 1e-6
        return zeros

    def call(self, inputs, states):
        """One step.

        Args:
            inputs: [B, F].
            states: see `state_size`.

        Returns:
            `([B, output_size], the new states)`.
        """
        hidden, cell, memory, read, read_weights, usage = states
        hidden, (_, cell) = self.controller(tf.concat([inputs, read], axis=-1), [hidden, cell])
        keys = tf.reshape(self.keys(hidden), [-1, self.heads, self.width])
        gate = tf.sigmoid(tf.convert_to_tensor(self.alpha))
        least = least_used(usage, self.heads)
        write_weights = gate * read_weights + (1.0 - gate) * least[:, None]
        memory *= 1.0 - least_used(usage, 1)[..., None]
        memory += tf.matmul(write_weights, keys, transpose_a=True)
        read_weights = content_weights(keys, memory)
        read = tf.reshape(tf.matmul(read_weights, memory), [-1, self.heads * self.width])
        usage = self.decay * usage + tf.reduce_sum(read_weights + write_weights, axis=1)
        return tf.concat([hidden, read], axis=-1), [hidden, cell, memory, read, read_weights, usage]
