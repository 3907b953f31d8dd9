"""Gradient descent with learned step sizes: one for all coordinates, or one for each coordinate."""

from typing import NamedTuple

import keras
import tensorflow as tf

from ml_lstm.cells.base import UpdateInputs, UpdateRule
from ml_lstm.options import Rate


class SGDState(NamedTuple):
    """What the cell keeps for each coordinate.

    Attributes:
        parameters: [P], theta.
    """

    parameters: tf.Tensor


class MetaSGDState(NamedTuple):
    """What the cell keeps for each coordinate.

    Attributes:
        parameters: [P], theta.
        learning_rates: [P], alpha, the same at every step.
    """

    parameters: tf.Tensor
    learning_rates: tf.Tensor


class _StepSizeRule(UpdateRule):
    """Gradient descent at a learned rate; it reads only the gradient.

    Args:
        cell_learning_rate: the initial step size, alpha.
    """

    reads_features = False

    def __init__(self, *, cell_learning_rate: Rate = 0.01, **kwargs):
        super().__init__(**kwargs)
        self.cell_learning_rate = cell_learning_rate


@keras.saving.register_keras_serializable("ml_lstm")
class SGDCell(_StepSizeRule):
    r"""Gradient descent with one learned step size: the adaptive SGD of Furrer et al., section III-C.

    .. math:: \theta_t = \theta_{t-1} - \alpha \nabla_t

    Together with the learned :math:`\theta_0` it is the study's non-recurrent baseline. :math:`\alpha` is an ordinary
    weight and can become negative. The study does not give its initial value.

    Shapes: P learner parameters.

    Args:
        cell_learning_rate: the initial step size, alpha.

    Call arguments:
        inputs: `UpdateInputs(features, gradient [P])`; the features are not read and may be None.
        states: `SGDState(parameters [P])`.

    Returns:
        `(parameters [P], SGDState)`.

    Raises:
        ValueError: for a `cell_learning_rate` that is not positive and finite.
    """

    state_size = SGDState(1)

    def build(self, inputs_shape, states_shape=None):
        start = keras.initializers.Constant(self.cell_learning_rate)
        self.learning_rate = self.add_weight(name="learning_rate", shape=(), initializer=start)

    def get_initial_state(self, parameters: tf.Tensor, spread=tf.identity) -> SGDState:
        return SGDState(parameters)

    def call(self, inputs: UpdateInputs, states: SGDState):
        inputs, states = UpdateInputs(*inputs), SGDState(*states)
        parameters = states.parameters - tf.convert_to_tensor(self.learning_rate) * inputs.gradient
        return parameters, SGDState(parameters)

    def gates(self, states: SGDState) -> dict[str, tf.Tensor]:
        """The step size, repeated [P] times."""
        return {"learning_rate": tf.fill(tf.shape(states.parameters), tf.convert_to_tensor(self.learning_rate))}


@keras.saving.register_keras_serializable("ml_lstm")
class MetaSGDCell(_StepSizeRule):
    r"""Meta-SGD (Li et al. 2017, *Learning to Learn Quickly for Few-Shot Learning*): a step size for each coordinate.

    .. math:: \theta_t = \theta_{t-1} - \alpha \odot \nabla_t

    :math:`\alpha` has the shape of the learned start :math:`\theta_0`, so it decides both the direction and the length
    of a step. The paper takes one step and lets the meta-gradient go through :math:`\nabla_t`
    (`MetaLSTM(inner_steps=1, second_order=True)`). Here every coordinate's alpha starts from the same number.

    Shapes: P learner parameters, P0 of them when the cell was built.

    Args:
        cell_learning_rate: the initial step size, every alpha.

    Call arguments:
        inputs: `UpdateInputs(features, gradient [P])`; the features are not read and may be None.
        states: `MetaSGDState(parameters [P], learning_rates [P])`.

    Returns:
        `(parameters [P], MetaSGDState)`.

    Raises:
        ValueError: for a `cell_learning_rate` that is not positive and finite.
    """

    state_size = MetaSGDState(1, 1)

    def build(self, inputs_shape, states_shape=None):
        start = keras.initializers.Constant(self.cell_learning_rate)
        self.learning_rates = self.add_weight(name="learning_rates", shape=tuple(inputs_shape[1]), initializer=start)

    def get_initial_state(self, parameters: tf.Tensor, spread=tf.identity) -> MetaSGDState:
        learning_rates = spread(tf.convert_to_tensor(self.learning_rates))
        return MetaSGDState(parameters, tf.cast(learning_rates, parameters.dtype))

    def call(self, inputs: UpdateInputs, states: MetaSGDState):
        inputs, states = UpdateInputs(*inputs), MetaSGDState(*states)
        parameters = states.parameters - states.learning_rates * inputs.gradient
        return parameters, MetaSGDState(parameters, states.learning_rates)

    def gates(self, states: MetaSGDState) -> dict[str, tf.Tensor]:
        """The step sizes [P]."""
        return {"learning_rate": states.learning_rates}
