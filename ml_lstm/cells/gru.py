"""An update rule in the form of a GRU, whose state is the learner's parameters."""

from typing import NamedTuple

import keras
import tensorflow as tf

from ml_lstm.cells.base import UpdateInputs
from ml_lstm.cells.gates import GatedUpdateRule


class GRUState(NamedTuple):
    """What the cell keeps for each coordinate; the last step's gates are there only for `gates`.

    Attributes:
        parameters: [P], theta, the GRU's state.
        update_gate: [P].
        reset_gate: [P].
    """

    parameters: tf.Tensor
    update_gate: tf.Tensor
    reset_gate: tf.Tensor


@keras.saving.register_keras_serializable("ml_lstm")
class GRUCell(GatedUpdateRule):
    r"""Learned update rule in the form of a GRU (Cho et al. 2014), after Furrer et al., section III-C.

    .. math::
        z_t &= \sigma(W_Z [x_t, \theta_{t-1}] + b_Z) \\
        r_t &= \sigma(W_R [x_t, \theta_{t-1}] + b_R) \\
        \tilde\theta_t &= r_t \odot \theta_{t-1} - \nabla_t \\
        \theta_t &= (1 - z_t) \odot \theta_{t-1} + z_t \odot \tilde\theta_t

    The weights are shared by all coordinates.

    The study says only that it is "a GRU-like structure using similar ideas". The choices here: a GRU has one state,
    which is therefore :math:`\theta`, and its gates read the input and that state. The candidate combines the state
    that the reset gate lets through with the input. As in the LSTM meta-learner, :math:`-\nabla_t` is the input,
    without a tanh. Another form of the rule is

    .. math:: \theta_t = (1 - z_t (1 - r_t)) \odot \theta_{t-1} - z_t \odot \nabla_t

    so the update gate is the learning rate, and the reset gate decides how much decay comes with it. Without a reset
    gate (:math:`r = 0`) a parameter would shrink by the learning rate at each step. The initial biases make a step
    gradient descent at a rate of about 0.01 that keeps about 0.9999 of a parameter.

    Shapes: P learner parameters, F features.

    Args:
        **options: see `GatedUpdateRule`. The gates that set the learning rate and the decay use the ranges of an
            LSTM's input and forget gates: b_Z starts in `input_gate_bias`, b_R in `forget_gate_bias`; (4, 6) is a
            decay of about 0.01 of the learning rate.

    Call arguments:
        inputs: `UpdateInputs(features [F, P], gradient [P])`.
        states: `GRUState(parameters [P], update_gate [P], reset_gate [P])`.

    Returns:
        `(parameters [P], GRUState)`.

    Raises:
        ValueError: like `GatedUpdateRule`.
    """

    state_size = GRUState(1, 1, 1)

    def build(self, inputs_shape, states_shape=None):
        self.add_gates(inputs_shape[0][0] + 1, {"update": self.input_gate_bias, "reset": self.forget_gate_bias})

    def get_initial_state(self, parameters: tf.Tensor, spread=tf.identity) -> GRUState:
        zeros = tf.zeros_like(parameters)
        return GRUState(parameters, zeros, zeros)

    def call(self, inputs: UpdateInputs, states: GRUState):
        inputs, states = UpdateInputs(*inputs), GRUState(*states)
        update_gate, reset_gate = (
            tf.sigmoid(self.gate_logit(gate, inputs.features, states.parameters)) for gate in ("update", "reset")
        )
        candidate = reset_gate * states.parameters - inputs.gradient
        parameters = (1.0 - update_gate) * states.parameters + update_gate * candidate
        return parameters, GRUState(parameters, update_gate, reset_gate)

    def gates(self, states: GRUState) -> dict[str, tf.Tensor]:
        """The gates' values [P] in (0, 1) after a step, by name."""
        return {"update_gate": states.update_gate, "reset_gate": states.reset_gate}

    def input_and_forget(self, gates: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """The gates of the second form of the rule; see `UpdateRule.input_and_forget`."""
        update_gate, reset_gate = gates["update_gate"], gates["reset_gate"]
        return update_gate, 1.0 - update_gate * (1.0 - reset_gate)
