r"""Prototypical Networks (Snell, Swersky & Zemel, Prototypical Networks for Few-shot Learning, NIPS 2017).

A class is the mean of its support examples in a learned space, and a query belongs to the nearest mean.
"""

from typing import Literal

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits, squared_distances
from ml_lstm.methods.families.nearest_example import cosines


@keras.saving.register_keras_serializable("ml_lstm")
class PrototypicalNetworks(EmbeddingBasedClassifier):
    r"""Classifies by the distance to the mean of each class.

    .. math:: v_c = \frac{1}{|S_c|} \sum_{(x_i, y_i) \in S_c} f_\theta(x_i), \qquad
        P(y = c | x) = \mathrm{softmax}_c(-d(f_\theta(x), v_c))

    Args:
        learner, problem: see `EmbeddingBasedClassifier`; the paper trains with more classes than it tests with.
        distance: d, between query and prototype; cosine: one minus the cosine of the angle.
        **shared: see `EmbeddingBasedClassifier`.

    Raises:
        ValueError: as `EmbeddingBasedClassifier`.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        distance: Literal["squared_euclidean", "cosine"] = "squared_euclidean",
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        self.distance = distance
        self.built = True

    def summarize(self, features, labels, n_classes):
        """The prototypes [K, F]; see `EmbeddingBasedClassifier.summarize`."""
        return {
            "prototypes": tf.math.unsorted_segment_mean(features, labels, n_classes),
            "class_mask": class_mask(labels, n_classes),
        }

    def compare(self, adaptation, features, training):
        """Minus the distances; see `EmbeddingBasedClassifier.compare`."""
        prototypes = adaptation["prototypes"]
        if self.distance == "cosine":
            logits = cosines(features, prototypes) - 1.0
        else:
            logits = -squared_distances(features, prototypes)
        return mask_logits(logits, adaptation["class_mask"])
