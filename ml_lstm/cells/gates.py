"""Gates: sigmoids of the features and of a coordinate's own numbers, with weights that all coordinates share."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from ml_lstm.cells.base import UpdateRule


class GatedUpdateRule(UpdateRule):
    r"""An update rule with gates.

    The gate named g sees features :math:`x` [F, P] and M more vectors [P] of numbers that each coordinate has:

    .. math:: g = \sigma(W_g [x, v_1, \dots, v_M] + b_g)

    Its weights are `<name>_kernel` [F + M], the features' rows first, and `<name>_bias`, a scalar.
    """

    def add_gates(self, num_inputs: int, bias_ranges: Mapping[str, tuple[float, float]]) -> None:
        """Makes the weights of the gates, to be called in `build`.

        Args:
            num_inputs: F + M.
            bias_ranges: by gate, `(low, high)` that its bias starts in; kernels start in U(-0.01, 0.01).
        """
        for gate, bias_range in bias_ranges.items():
            # A new one for each: an initializer that draws two of the same shape draws the same numbers.
            small = keras.initializers.RandomUniform(-0.01, 0.01)
            kernel = self.add_weight(name=f"{gate}_kernel", shape=(num_inputs,), initializer=small)
            bias = self.add_weight(
                name=f"{gate}_bias", shape=(), initializer=keras.initializers.RandomUniform(*bias_range)
            )
            setattr(self, f"{gate}_kernel", kernel)
            setattr(self, f"{gate}_bias", bias)

    def gate_logit(self, gate: str, features: tf.Tensor, *own: tf.Tensor) -> tf.Tensor:
        """A gate [P] before its sigmoid, from `features` [F, P] and M vectors [P]."""
        kernel = tf.convert_to_tensor(getattr(self, f"{gate}_kernel"))
        weighted = [weight * vector for weight, vector in zip(tf.unstack(kernel[-len(own) :]), own, strict=True)]
        bias = tf.convert_to_tensor(getattr(self, f"{gate}_bias"))
        return tf.linalg.matvec(features, kernel[: -len(own)], transpose_a=True) + (tf.add_n(weighted) + bias)


def check_bias_range(gate: str, bias_range: tuple[float, float]) -> tuple[float, float]:
    """The range that a gate's bias starts in, if it is one.

    Raises:
        ValueError: if it is upside down.
    """
    low, high = bias_range
    if low > high:
        raise ValueError(f"{gate}_gate_bias must be (low, high), got ({low}, {high}).")
    return low, high
