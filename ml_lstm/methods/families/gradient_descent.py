"""What MAML and Reptile share: a network adapted by gradient descent at a fixed rate."""

from collections.abc import Mapping
from typing import Any

import keras

from ml_lstm.learners import LearnerState
from ml_lstm.methods.families.gradient_based import GradientBasedClassifier, InnerStep


class GradientDescentClassifier(GradientBasedClassifier):
    r"""A network with learned initial weights, adapted by gradient descent; how they are learned is a subclass.

    .. math:: \theta_k = \theta_{k-1} - \alpha \nabla_\theta L_{support}(\theta_{k-1})

    Args:
        learner: see `GradientBasedClassifier`.
        inner_learning_rate: :math:`\alpha`.
        **settings: see `GradientBasedClassifier`.

    Raises:
        ValueError: for an `inner_learning_rate` that is not positive, and as `GradientBasedClassifier`.
    """

    def __init__(self, learner: keras.Model, inner_learning_rate: float = 0.4, **settings):
        super().__init__(learner, **settings)
        if not inner_learning_rate > 0:
            raise ValueError(f"inner_learning_rate must be positive, got {inner_learning_rate}.")
        self.inner_learning_rate = inner_learning_rate
        self.built = True

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], image_shape: tuple[int, int, int], **normalization):
        """Builds the method that the commands' flags describe; see `FewShotClassifier.from_flags`."""
        settings = cls.settings_from_flags(flags, image_shape)
        return cls(inner_learning_rate=flags["inner_learning_rate"], **settings, **normalization)

    def updates(self, learner, batches, n_classes, training):
        """Gradient descent; see `GradientBasedClassifier.updates`."""
        for batch in batches:
            loss, gradient, statistics = self.inner_gradient(learner, batch)
            learner = LearnerState(learner.parameters - self.inner_learning_rate * gradient, statistics)
            yield InnerStep(learner, loss)

    def get_config(self):
        return super().get_config() | {"inner_learning_rate": self.inner_learning_rate}
