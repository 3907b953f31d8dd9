"""The interface of every update rule.

An update rule is a Keras layer: a recurrent cell whose batch is the learner's P coordinates.

    cell.build(((F, P0), (P0,)))                                # shapes of the features and the gradient
    state = cell.get_initial_state(parameters)                  # a named tuple, `parameters` [P] first
    parameters, state = cell(UpdateInputs(features, gradient), state)
    gates = cell.gates(state)                                   # {name: [P]}, values to watch during training
    cell.input_and_forget(gates)                                # the gates of the LSTM that takes the same step

`state_size` is a tuple with the fields of the state; each holds how many numbers a coordinate keeps there.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from ml_lstm.options import Configured


class UpdateInputs(NamedTuple):
    """The inputs of an update rule at one inner step.

    Attributes:
        features: [F, P], the inputs of the gates: the preprocessed loss and gradient, or an LSTM's output for them;
            None for a rule that reads no features.
        gradient: [P], of the inner loss with respect to the learner's parameters.
    """

    features: tf.Tensor | None
    gradient: tf.Tensor


class UpdateRule(Configured, keras.layers.Layer):
    """An update rule; its options are its constructor's keyword arguments, see `ml_lstm.options`.

    Attributes:
        state_size: how many numbers each coordinate keeps, a named tuple like the state.
        hidden_units: of the coordinate-wise LSTM that prepares the rule's features; 0 for none.
        reads_features: whether the rule reads `UpdateInputs.features`.
    """

    state_size: tuple
    hidden_units = 0
    reads_features = True

    def get_initial_state(self, parameters: tf.Tensor, spread: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> tuple:
        """The state before the first step.

        Args:
            parameters: [P], theta_0.
            spread: maps what the rule learned for the coordinates it was built for, [P0], to the coordinates of this
                episode, [P].
        """
        raise NotImplementedError

    def call(self, inputs: UpdateInputs, states: tuple) -> tuple[tf.Tensor, tuple]:
        """One step: `(parameters [P], the next state)`."""
        raise NotImplementedError

    def gates(self, states: tuple) -> dict[str, tf.Tensor]:
        """Values [P] to plot as histograms after a step, by name; empty unless a rule has gates or rates."""
        return {}

    def input_and_forget(self, gates: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor] | None:
        r"""The step in LSTM form, :math:`\theta_t = f_t \odot \theta_{t-1} - i_t \odot \nabla_t`.

        Args:
            gates: the result of `gates` after the step.

        Returns:
            :math:`(i_t, f_t)`, [P] each; None for a rule without gates.
        """
        return None
