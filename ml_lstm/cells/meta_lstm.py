"""The update rule of Ravi & Larochelle: an LSTM cell whose cell state is the learner's parameters."""

from typing import Literal, NamedTuple

import keras
import tensorflow as tf

from ml_lstm.cells.base import UpdateInputs
from ml_lstm.cells.gates import GatedUpdateRule


class MetaLSTMState(NamedTuple):
    """What the cell keeps for each coordinate.

    Attributes:
        parameters: [P], theta.
        input_gate: [P], the input gate's last value, in the form that `gate_feedback` feeds back.
        forget_gate: [P], likewise.
    """

    parameters: tf.Tensor
    input_gate: tf.Tensor
    forget_gate: tf.Tensor


@keras.saving.register_keras_serializable("ml_lstm")
class MetaLSTMCell(GatedUpdateRule):
    r"""Learned update rule of Ravi & Larochelle (2017), equations 2-3, for every coordinate of a learner at once.

    .. math::
        i_t &= \sigma(W_I [h_t, \theta_{t-1}, i_{t-1}] + b_I) \\
        f_t &= \sigma(W_F [h_t, \theta_{t-1}, f_{t-1}] + b_F) \\
        \theta_t &= f_t \odot \theta_{t-1} - i_t \odot \nabla_t

    with :math:`i_0 = f_0 = 0`. The weights are shared by all coordinates. They start in U(-0.01, 0.01). The
    biases start so that a step is gradient descent at a small rate with slight decay (section 3.3.2).

    Shapes: P learner parameters, F features.

    Args:
        gate_feedback: what a gate reads of its own last value: `"activation"` (the paper), or `"logit"` (the authors'
            code), the value before the sigmoid.
        **options: see `GatedUpdateRule`; b_I and b_F start in its ranges.

    Call arguments:
        inputs: `UpdateInputs(features [F, P], gradient [P])`.
        states: `MetaLSTMState(parameters [P], input_gate [P], forget_gate [P])`.

    Returns:
        `(parameters [P], MetaLSTMState)`.

    Raises:
        ValueError: for another `gate_feedback`, and like `GatedUpdateRule`.
    """

    state_size = MetaLSTMState(1, 1, 1)

    def __init__(self, *, gate_feedback: Literal["activation", "logit"] = "activation", **options):
        super().__init__(**options)
        self.gate_feedback = gate_feedback

    def build(self, inputs_shape, states_shape=None):
        num_features = inputs_shape[0][0]
        self.add_gates(num_features + 2, {"input": self.input_gate_bias, "forget": self.forget_gate_bias})

    def get_initial_state(self, parameters: tf.Tensor, spread=tf.identity) -> MetaLSTMState:
        zeros = tf.zeros_like(parameters)
        return MetaLSTMState(parameters, zeros, zeros)

    def call(self, inputs: UpdateInputs, states: MetaLSTMState):
        inputs, states = UpdateInputs(*inputs), MetaLSTMState(*states)
        input_logit = self.gate_logit("input", inputs.features, states.parameters, states.input_gate)
        forget_logit = self.gate_logit("forget", inputs.features, states.parameters, states.forget_gate)
        input_gate, forget_gate = tf.sigmoid(input_logit), tf.sigmoid(forget_logit)
        parameters = forget_gate * states.parameters - input_gate * inputs.gradient
        if self.gate_feedback == "activation":
            return parameters, MetaLSTMState(parameters, input_gate, forget_gate)
        return parameters, MetaLSTMState(parameters, input_logit, forget_logit)

    def gates(self, states: MetaLSTMState) -> dict[str, tf.Tensor]:
        """The gates' values [P] in (0, 1) after a step, by name."""
        show = tf.identity if self.gate_feedback == "activation" else tf.sigmoid
        return {"input_gate": show(states.input_gate), "forget_gate": show(states.forget_gate)}
