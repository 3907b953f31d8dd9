"""What every update rule is given, and the interface that it keeps.

An update rule is a Keras layer, a recurrent cell over the learner's P coordinates as its batch:

    cell.build(((F, P0), (P0,)))                                # shapes of the features and the gradient
    state = cell.get_initial_state(parameters)                  # a named tuple, `parameters` [P] first
    parameters, state = cell(UpdateInputs(features, gradient), state)
    gates = cell.gates(state)                                   # {name: [P]}, what to watch while training
    cell.input_and_forget(gates)                                # those of the LSTM that takes the same step

`state_size` is a tuple like the state with the numbers that each coordinate keeps.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from ml_lstm.options import Configured


class UpdateInputs(NamedTuple):
    """What one inner step tells an update rule.

    Attributes:
        features: [F, P], what the gates read: the preprocessed loss and gradient, or an LSTM's view of them; None
            for a rule that reads none.
        gradient: [P], of the inner loss to the learner's parameters.
    """

    features: tf.Tensor | None
    gradient: tf.Tensor


class UpdateRule(Configured, keras.layers.Layer):
    """An update rule; what can be chosen of it are its constructor's keyword arguments, see `ml_lstm.options`.

    Attributes:
        state_size: the numbers that each coordinate keeps, a named tuple like the state.
        hidden_units: of the coordinate-wise LSTM that prepares its features; 0 for none.
        reads_features: whether it looks at `UpdateInputs.features` at all.
    """

    state_size: tuple
    hidden_units = 0
    reads_features = True

    def get_initial_state(self, parameters: tf.Tensor, spread: Callable[[tf.Tensor], tf.Tensor] = tf.identity) -> tuple:
        """The state before the first step.

        Args:
            parameters: [P], theta_0.
            spread: maps what the rule learned of each coordinate that it was built for, [P0], to the coordinates of
                this episode, [P].
        """
        raise NotImplementedError

    def call(self, inputs: UpdateInputs, states: tuple) -> tuple[tf.Tensor, tuple]:
        """One step: `(parameters [P], the next state)`."""
        raise NotImplementedError

    def gates(self, states: tuple) -> dict[str, tf.Tensor]:
        """Values [P] worth a histogram after a step, by name; none unless a rule has some."""
        return {}

    def input_and_forget(self, gates: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor] | None:
        r"""A step as the LSTM meta-learner's, :math:`\theta_t = f_t \odot \theta_{t-1} - i_t \odot \nabla_t`.

        Args:
            gates: after the step, of `gates`.

        Returns:
            :math:`(i_t, f_t)`, [P] each; None for a rule without gates.
        """
        return None
