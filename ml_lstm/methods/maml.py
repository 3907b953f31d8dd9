r"""MAML (Finn, Abbeel & Levine, Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, ICML 2017).

A network's initial weights are learned so that a few steps of gradient descent on a support set make it classify
queries correctly. First-order MAML omits the second derivatives: it uses the gradient of the queries' loss at the
adapted weights as the gradient at the initial ones.
"""

import keras

from ml_lstm.methods.families.gradient_descent import GradientDescentClassifier


@keras.saving.register_keras_serializable("ml_lstm")
class MAML(GradientDescentClassifier):
    r"""Learns the initial weights of a network for gradient descent.

    .. math:: g_{MAML} = \nabla_{\theta_T} L_{query}(\theta_T) \cdot
        \prod_{k=1}^{T} (I - \alpha \nabla^2_\theta L_{support}(\theta_{k-1}))

    Args:
        learner, problem: see `GradientBasedClassifier`.
        second_order: False for first-order MAML, :math:`g_{FOMAML} = \nabla_{\theta_T} L_{query}(\theta_T)`.
        **shared: see `GradientDescentClassifier`.

    Raises:
        ValueError: like `GradientDescentClassifier`.
    """

    def __init__(self, learner, problem, *, second_order: bool = True, **shared):
        super().__init__(learner, problem, second_order=second_order, **shared)
