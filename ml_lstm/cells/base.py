"""What every update rule is given, and the interface that it keeps.

An update rule is a Keras layer, a recurrent cell over the learner's P coordinates as its batch:

    cell.build(((F, P0), (P0,)))                                # shapes of the features and the gradient
    state = cell.get_initial_state(parameters)                  # a named tuple, `parameters` [P] first
    parameters, state = cell(UpdateInputs(features, gradient), state)
    cell.gates(state)                                           # {name: [P]}, what to watch while training

`state_size` is a tuple like the state with the numbers that each coordinate keeps.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf


class UpdateInputs(NamedTuple):
    """What one inner step tells an update rule.

    Attributes:
        features: [F, P], what the gates read: the preprocessed loss and gradient, or an LSTM's view of them; None
            for a rule that reads none.
        gradient: [P], of the inner loss to the learner's parameters.
    """

    features: tf.Tensor | None
    gradient: tf.Tensor


class UpdateRule(keras.layers.Layer):
    """An update rule.

    Attributes:
        state_size: the numbers that each coordinate keeps, a named tuple like the state.
        default_hidden_units: width of the LSTM that prepares its features, unless told otherwise; 0 for a rule that
            takes none.
        reads_features: whether it looks at `UpdateInputs.features` at all.
    """

    state_size: tuple
    default_hidden_units = 20
    reads_features = True

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any]) -> "UpdateRule":
        """Builds the rule that the commands' flags describe.

        Args:
            flags: values by name, see `ml_lstm.flags`; a rule reads those that concern it.
        """
        raise NotImplementedError

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


def check_learning_rate(value: float) -> float:
    """A rule's first learning rate, if it can be one.

    Raises:
        ValueError: unless it is positive and finite.
    """
    if not 0 < value < math.inf:
        raise ValueError(f"initial_learning_rate must be positive and finite, got {value}.")
    return value
