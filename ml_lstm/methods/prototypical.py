r"""Prototypical Networks (Snell, Swersky & Zemel, Prototypical Networks for Few-shot Learning, NIPS 2017).

A class is represented by the mean of its support examples in a learned space, and a query belongs to the nearest mean.
"""

import math
from typing import Literal

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits, squared_distances
from ml_lstm.methods.families.nearest_example import cosines

INITIAL_TEMPERATURE = {"squared_euclidean": 1.0, "cosine": 10.0}
"""Initial value of the learned factor on distances: the paper's; and that of `MetaBaseline` for cosines."""


@keras.saving.register_keras_serializable("ml_lstm")
class PrototypicalNetworks(EmbeddingBasedClassifier):
    r"""Classifies by the distance to the mean of each class.

    .. math:: v_c = \frac{1}{|S_c|} \sum_{(x_i, y_i) \in S_c} f_\theta(x_i), \qquad
        P(y = c | x) = \mathrm{softmax}_c(-\tau d(f_\theta(x), v_c))

    :math:`\tau` is 1 in the paper. As cosines differ by at most 2, no class of five could then have a probability above
    0.65. So with cosines tau is learned; the weight is its logarithm, which keeps tau positive.

    Args:
        learner, problem: see `EmbeddingBasedClassifier`; the paper trains with more classes than it tests with.
        distance: the distance d between query and prototype; cosine: one minus the cosine of the angle.
        learn_temperature: when to learn tau, a factor on distances. cosine: only with that distance, starting from 10;
            always: also with the squared distance, starting from 1; never: it is 1.
        **shared: see `EmbeddingBasedClassifier`.

    Raises:
        ValueError: like `EmbeddingBasedClassifier`.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        distance: Literal["squared_euclidean", "cosine"] = "squared_euclidean",
        learn_temperature: Literal["cosine", "always", "never"] = "cosine",
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        self.distance, self.learn_temperature = distance, learn_temperature
        self.log_temperature = None
        if learn_temperature in (distance, "always"):
            start = keras.initializers.Constant(math.log(INITIAL_TEMPERATURE[distance]))
            self.log_temperature = self.add_weight(name="log_temperature", shape=(), initializer=start)
        self.built = True

    def summarize(self, features, labels, n_classes):
        """The prototypes [K, F]; see `EmbeddingBasedClassifier.summarize`."""
        return {
            "prototypes": tf.math.unsorted_segment_mean(features, labels, n_classes),
            "class_mask": class_mask(labels, n_classes),
        }

    def compare(self, adaptation, features, training):
        """Minus the distances, times the temperature; see `EmbeddingBasedClassifier.compare`."""
        prototypes = adaptation["prototypes"]
        if self.distance == "cosine":
            logits = cosines(features, prototypes) - 1.0
        else:
            logits = -squared_distances(features, prototypes)
        if self.log_temperature is not None:
            logits *= tf.exp(tf.cast(self.log_temperature, logits.dtype))
        return mask_logits(logits, adaptation["class_mask"])
