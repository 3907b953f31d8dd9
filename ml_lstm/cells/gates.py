"""Gates: sigmoids of the features and of a coordinate's own values, with weights shared by all coordinates."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from ml_lstm.cells.base import UpdateRule
from ml_lstm.options import Interval, Whole


class GatedUpdateRule(UpdateRule):
    r"""An update rule with gates.

    The gate named g reads features :math:`x` [F, P] and M more vectors [P], one value for each coordinate:

    .. math:: g = \sigma(W_g [x, v_1, \dots, v_M] + b_g)

    Its weights are `<name>_kernel` [F + M], first the rows of the features, and `<name>_bias`, a scalar.

    Args:
        hidden_units: hidden units of the coordinate-wise LSTM in front of the rule; 0: no LSTM.
        input_gate_bias: range of the initial bias of the gate on the gradient (a GRU's update gate); (-5, -4) gives an
            initial learning rate of about 0.01.
        forget_gate_bias: range of the initial bias of the gate on the parameter (a GRU's reset gate); (4, 6) keeps
            about 0.99 of a parameter.

    Raises:
        ValueError: for a negative number of units, or a range whose low end is above its high end.
    """

    def __init__(
        self,
        *,
        hidden_units: Whole = 20,
        input_gate_bias: Interval = (-5.0, -4.0),
        forget_gate_bias: Interval = (4.0, 6.0),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_units = hidden_units
        self.input_gate_bias, self.forget_gate_bias = tuple(input_gate_bias), tuple(forget_gate_bias)

    def add_gates(self, num_inputs: int, bias_ranges: Mapping[str, tuple[float, float]]) -> None:
        """Creates the weights of the gates; call it in `build`.

        Args:
            num_inputs: F + M.
            bias_ranges: by gate, the range `(low, high)` of its initial bias; kernels start in U(-0.01, 0.01).
        """
        for gate, bias_range in bias_ranges.items():
            # A new initializer for each weight: one initializer draws the same numbers for two weights of one shape.
            small = keras.initializers.RandomUniform(-0.01, 0.01)
            kernel = self.add_weight(name=f"{gate}_kernel", shape=(num_inputs,), initializer=small)
            bias = self.add_weight(
                name=f"{gate}_bias", shape=(), initializer=keras.initializers.RandomUniform(*bias_range)
            )
            setattr(self, f"{gate}_kernel", kernel)
            setattr(self, f"{gate}_bias", bias)

    def input_and_forget(self, gates: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """See `UpdateRule.input_and_forget`; returns the gates of these names unless overridden."""
        return gates["input_gate"], gates["forget_gate"]

    def gate_logit(self, gate: str, features: tf.Tensor, *own: tf.Tensor) -> tf.Tensor:
        """The value [P] of a gate before its sigmoid, from `features` [F, P] and M vectors [P]."""
        kernel = tf.convert_to_tensor(getattr(self, f"{gate}_kernel"))
        weighted = [weight * vector for weight, vector in zip(tf.unstack(kernel[-len(own) :]), own, strict=True)]
        bias = tf.convert_to_tensor(getattr(self, f"{gate}_bias"))
        return tf.linalg.matvec(features, kernel[: -len(own)], transpose_a=True) + (tf.add_n(weighted) + bias)
