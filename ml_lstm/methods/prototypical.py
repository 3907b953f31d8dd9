r"""Prototypical Networks (Snell, Swersky & Zemel, Prototypical Networks for Few-shot Learning, NIPS 2017).

A class is the mean of its support examples in a learned space, and a query belongs to the nearest mean.
"""

import keras
import tensorflow as tf

from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits
from ml_lstm.methods.families.nearest_example import cosines

DISTANCES = ("squared_euclidean", "cosine")


@keras.saving.register_keras_serializable("ml_lstm")
class PrototypicalNetworks(EmbeddingBasedClassifier):
    r"""Classifies by the distance to the mean of each class.

    .. math:: v_c = \frac{1}{|S_c|} \sum_{(x_i, y_i) \in S_c} f_\theta(x_i), \qquad
        P(y = c | x) = \mathrm{softmax}_c(-d(f_\theta(x), v_c))

    Args:
        learner: see `EmbeddingBasedClassifier`.
        n_way: see `EmbeddingBasedClassifier`; the paper trains with more classes than it tests with.
        distance: d, `"squared_euclidean"`, or `"cosine"` for one minus the cosine of the angle.
        **settings: see `EmbeddingBasedClassifier`.

    Raises:
        ValueError: for another `distance`, or a learner that does not fit.
    """

    def __init__(self, learner: keras.Model, n_way: int, distance: str = "squared_euclidean", **settings):
        super().__init__(learner, n_way, **settings)
        if distance not in DISTANCES:
            raise ValueError(f"distance must be one of {DISTANCES}, got {distance!r}.")
        self.distance = distance
        self.built = True

    @classmethod
    def from_flags(cls, flags, image_shape, **arguments):
        """Builds the method that the commands' flags describe; see `FewShotClassifier.from_flags`."""
        return super().from_flags(flags, image_shape, distance=flags["distance"], **arguments)

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
            logits = -tf.reduce_sum(tf.math.squared_difference(features[:, None], prototypes[None]), axis=2)
        return mask_logits(logits, adaptation["class_mask"])

    def get_config(self):
        return super().get_config() | {"distance": self.distance}
