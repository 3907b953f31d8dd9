"""The base class of MAML and Reptile: a network adapted by gradient descent at a fixed rate."""

from ml_lstm.learners import LearnerState
from ml_lstm.methods.families.gradient_based import GradientBasedClassifier, InnerStep
from ml_lstm.options import Rate


class GradientDescentClassifier(GradientBasedClassifier):
    r"""A network with learned initial weights, adapted by gradient descent; subclasses define how they are learned.

    .. math:: \theta_k = \theta_{k-1} - \alpha \nabla_\theta L_{support}(\theta_{k-1})

    Args:
        learner, problem: see `GradientBasedClassifier`.
        inner_learning_rate: learning rate of gradient descent on a support set.
        **shared: see `GradientBasedClassifier`.

    Raises:
        ValueError: for an `inner_learning_rate` that is not positive, and like `GradientBasedClassifier`.
    """

    def __init__(self, learner, problem, *, inner_learning_rate: Rate = 0.4, **shared):
        super().__init__(learner, problem, **shared)
        self.inner_learning_rate = inner_learning_rate
        self.built = True

    def updates(self, learner, batches, n_classes, training):
        """Gradient descent; see `GradientBasedClassifier.updates`."""
        for batch in batches:
            loss, gradient, statistics = self.inner_gradient(learner, batch)
            learner = LearnerState(learner.parameters - self.inner_learning_rate * gradient, statistics)
            yield InnerStep(learner, loss)
