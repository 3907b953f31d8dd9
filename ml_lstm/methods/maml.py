r"""MAML (Finn, Abbeel & Levine, Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, ICML 2017).

A network's initial weights are learned so that a few steps of gradient descent on a support set make it right
about queries. First-order MAML leaves the second derivatives out: the gradient of the queries' loss at the
adapted weights is taken for that at the initial ones.
"""

import keras

from ml_lstm.methods.families.gradient_descent import GradientDescentClassifier


@keras.saving.register_keras_serializable("ml_lstm")
class MAML(GradientDescentClassifier):
    r"""Learns the initial weights of a network for gradient descent.

    .. math:: g_{MAML} = \nabla_{\theta_T} L_{query}(\theta_T) \cdot
        \prod_{k=1}^{T} (I - \alpha \nabla^2_\theta L_{support}(\theta_{k-1}))

    Args:
        learner: see `GradientBasedClassifier`.
        inner_learning_rate: :math:`\alpha`.
        second_order: False for first-order MAML, :math:`g_{FOMAML} = \nabla_{\theta_T} L_{query}(\theta_T)`.
        **settings: see `GradientBasedClassifier`.

    Raises:
        ValueError: as `GradientDescentClassifier`.
    """

    def __init__(self, learner: keras.Model, inner_learning_rate: float = 0.4, second_order: bool = True, **settings):
        super().__init__(learner, inner_learning_rate, second_order=second_order, **settings)

    @classmethod
    def settings_from_flags(cls, flags, image_shape):
        """See `GradientBasedClassifier.settings_from_flags`; the method's name says which order."""
        return super().settings_from_flags(flags, image_shape) | {"second_order": flags["method"] == "maml"}
