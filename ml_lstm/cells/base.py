"""What every update rule is given, and the protocol that it keeps.

An update rule is a Keras layer, a recurrent cell over the learner's P coordinates as its batch:

    state = cell.get_initial_state(parameters)                  # a named tuple, `parameters` [P] first
    parameters, state = cell(UpdateInputs(features, gradient), state)
    cell.gates(state)                                           # {name: [P]}, what to watch while training

`state_size` is a tuple like the state with the numbers that each coordinate keeps.
"""

from typing import NamedTuple

import tensorflow as tf


class UpdateInputs(NamedTuple):
    """What one inner step tells an update rule.

    Attributes:
        features: [P, F], what the gates read: the preprocessed loss and gradient, or an LSTM's view of them.
        gradient: [P], of the inner loss to the learner's parameters.
    """

    features: tf.Tensor
    gradient: tf.Tensor
