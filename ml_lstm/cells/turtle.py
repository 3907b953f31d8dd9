"""TURTLE: a small stateless network, shared by all coordinates, that proposes the update of each."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import keras
import tensorflow as tf

from ml_lstm.cells.base import UpdateInputs, UpdateRule
from ml_lstm.options import Rate, Rule

_Widths = Annotated[Sequence[int], Rule(lambda widths: min(widths, default=1) >= 1, "numbers of at least 1")]


class TurtleState(NamedTuple):
    """What the cell keeps for each coordinate.

    Attributes:
        parameters: [P], theta.
    """

    parameters: tf.Tensor


@keras.saving.register_keras_serializable("ml_lstm")
class TurtleCell(UpdateRule):
    r"""Learned update rule without a state, after TURTLE.

    Huisman, Plaat & van Rijn, *Stateless Neural Meta-Learning using Second-Order Gradients*, Machine Learning, 2022.

    .. math:: \theta_t = \theta_{t-1} + \alpha (g_\phi([x_t, \nabla_t]) - \nabla_t)

    :math:`g_\phi` is a fully connected network with ReLU after each hidden layer and one output. It is applied to each
    coordinate on its own and keeps nothing between steps. Use it without an LSTM in front and with
    `MetaLSTM(second_order=True)`, to which the paper attributes its success.

    As published, :math:`\theta_t = \theta_{t-1} + g_\phi(\cdot)`, whose input can be raw or preprocessed
    gradients, with or without the loss; the authors' code uses two hidden layers of 20 units. Differences here:
    the network reads the preprocessed loss and gradient as well as the raw gradient; :math:`-\nabla_t` and the learned
    scale :math:`\alpha` are outside the network, whose output layer starts in U(-0.01, 0.01). This is the same
    family of updates, as two more ReLUs can pass the gradient on. But it starts as gradient descent, where
    MAML starts, and not as a random rule. The published variants that also read the step number or a
    running average of past gradients are not implemented.

    Shapes: P learner parameters, F features.

    Args:
        layer_units: widths of the hidden layers of --cell=turtle.
        cell_learning_rate: the initial step size, alpha.

    Call arguments:
        inputs: `UpdateInputs(features [F, P], gradient [P])`.
        states: `TurtleState(parameters [P])`.

    Returns:
        `(parameters [P], TurtleState)`.

    Raises:
        ValueError: for a width below 1, or a `cell_learning_rate` that is not positive and finite.
    """

    state_size = TurtleState(1)

    def __init__(self, *, layer_units: _Widths = (20, 20), cell_learning_rate: Rate = 0.01, **kwargs):
        super().__init__(**kwargs)
        self.layer_units = tuple(layer_units)
        self.cell_learning_rate = cell_learning_rate
        hidden = [keras.layers.Dense(units, "relu", dtype=self.dtype_policy) for units in self.layer_units]
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        self.network = [*hidden, keras.layers.Dense(1, kernel_initializer=small, dtype=self.dtype_policy)]
        for number, layer in enumerate(self.network):
            setattr(self, f"layer_{number}", layer)  # a checkpoint does not track layers that are only in a list

    def build(self, inputs_shape, states_shape=None):
        start = keras.initializers.Constant(self.cell_learning_rate)
        self.learning_rate = self.add_weight(name="learning_rate", shape=(), initializer=start)
        width = inputs_shape[0][0] + 1  # the features and the gradient
        for layer in self.network:
            layer.build((None, width))
            width = layer.units

    def get_initial_state(self, parameters: tf.Tensor, spread=tf.identity) -> TurtleState:
        return TurtleState(parameters)

    def call(self, inputs: UpdateInputs, states: TurtleState):
        inputs, states = UpdateInputs(*inputs), TurtleState(*states)
        proposal = tf.transpose(tf.concat([inputs.features, inputs.gradient[None]], axis=0))
        for layer in self.network:
            proposal = layer(proposal)
        learning_rate = tf.convert_to_tensor(self.learning_rate)
        parameters = states.parameters + learning_rate * (proposal[:, 0] - inputs.gradient)
        return parameters, TurtleState(parameters)
