"""The Complete-LSTM of Furrer et al.: the LSTM meta-learner with an output gate and a hidden state."""

from typing import NamedTuple

import keras
import tensorflow as tf

from ml_lstm.cells.base import UpdateInputs
from ml_lstm.cells.gates import GatedUpdateRule


class CompleteLSTMState(NamedTuple):
    """What the cell keeps for each coordinate; the last step's gates are there only for `gates`.

    Attributes:
        parameters: [P], theta, the LSTM's cell state.
        hidden: [P], h, the LSTM's hidden state.
        input_gate: [P].
        forget_gate: [P].
        output_gate: [P].
    """

    parameters: tf.Tensor
    hidden: tf.Tensor
    input_gate: tf.Tensor
    forget_gate: tf.Tensor
    output_gate: tf.Tensor


@keras.saving.register_keras_serializable("ml_lstm")
class CompleteLSTMCell(GatedUpdateRule):
    r"""Learned update rule with all three gates of an LSTM: the Complete-LSTM of Furrer et al., section III-C.

    .. math::
        i_t &= \sigma(W_I [x_t, \theta_{t-1}, h_{t-1}] + b_I) \\
        f_t &= \sigma(W_F [x_t, \theta_{t-1}, h_{t-1}] + b_F) \\
        o_t &= \sigma(W_O [x_t, \theta_{t-1}, h_{t-1}] + b_O) \\
        \theta_t &= f_t \odot \theta_{t-1} - i_t \odot \nabla_t \\
        h_t &= o_t \odot \tanh(\theta_t)

    with :math:`h_0 = 0`. The weights are shared by all coordinates.

    The study adds the standard LSTM's output gate, which makes the next hidden state; it describes this in words and
    prints no equations. The choices here: the new gate has the form of the other two. The hidden state is the standard
    one. The gates read it as their past, as in the standard LSTM; it replaces the gate's own last value, which the
    rule of Ravi & Larochelle feeds back because it has no hidden state. As in that rule, gates read
    :math:`\theta_{t-1}`, the cell state is the parameters, and the candidate is :math:`-\nabla_t`, without a tanh.
    :math:`b_O` starts in U(-0.01, 0.01), so the output gate starts half open; the rest starts as in `MetaLSTMCell`.

    Shapes: P learner parameters, F features.

    Args:
        **options: see `GatedUpdateRule`.

    Call arguments:
        inputs: `UpdateInputs(features [F, P], gradient [P])`.
        states: `CompleteLSTMState`, five times [P].

    Returns:
        `(parameters [P], CompleteLSTMState)`.

    Raises:
        ValueError: like `GatedUpdateRule`.
    """

    state_size = CompleteLSTMState(1, 1, 1, 1, 1)

    def build(self, inputs_shape, states_shape=None):
        bias_ranges = {"input": self.input_gate_bias, "forget": self.forget_gate_bias, "output": (-0.01, 0.01)}
        self.add_gates(inputs_shape[0][0] + 2, bias_ranges)

    def get_initial_state(self, parameters: tf.Tensor, spread=tf.identity) -> CompleteLSTMState:
        return CompleteLSTMState(parameters, *[tf.zeros_like(parameters)] * 4)

    def call(self, inputs: UpdateInputs, states: CompleteLSTMState):
        inputs, states = UpdateInputs(*inputs), CompleteLSTMState(*states)
        input_gate, forget_gate, output_gate = (
            tf.sigmoid(self.gate_logit(gate, inputs.features, states.parameters, states.hidden))
            for gate in ("input", "forget", "output")
        )
        parameters = forget_gate * states.parameters - input_gate * inputs.gradient
        hidden = output_gate * tf.tanh(parameters)
        return parameters, CompleteLSTMState(parameters, hidden, input_gate, forget_gate, output_gate)

    def gates(self, states: CompleteLSTMState) -> dict[str, tf.Tensor]:
        """The gates' values [P] in (0, 1) after a step, by name."""
        return {name: getattr(states, name) for name in ("input_gate", "forget_gate", "output_gate")}
