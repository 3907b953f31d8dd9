r"""Meta-Baseline (Chen, Liu, Xu, Darrell & Wang, Meta-Baseline: Exploring Simple Meta-Learning for Few-Shot Learning,
ICCV 2021).

First a network is trained to classify all meta-train classes jointly. Then it is meta-trained by episodes, in which a
query belongs to the class whose mean has the largest cosine with it. The first stage is any run of `SimpleShot`,
`NearestNeighbour` or `FineTuning`, whose network `--initial_weights` loads.
"""

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits
from ml_lstm.methods.families.nearest_example import cosines
from ml_lstm.options import Rate


@keras.saving.register_keras_serializable("ml_lstm")
class MetaBaseline(EmbeddingBasedClassifier):
    r"""Classifies by the cosine to the mean of each class, with a learned temperature.

    .. math:: v_c = \frac{1}{|S_c|} \sum_{(x_i, y_i) \in S_c} f_\theta(x_i), \qquad
        P(y = c | x) = \mathrm{softmax}_c(\tau \cos(f_\theta(x), v_c))

    Args:
        learner, problem: see `EmbeddingBasedClassifier`.
        initial_temperature: initial value of tau, the learned factor on the cosines.
        **shared: see `EmbeddingBasedClassifier`.

    Raises:
        ValueError: like `EmbeddingBasedClassifier`.
    """

    def __init__(self, learner: keras.Model, problem: Problem, *, initial_temperature: Rate = 10.0, **shared):
        super().__init__(learner, problem, **shared)
        self.initial_temperature = initial_temperature
        self.temperature = self.add_weight(
            name="temperature", shape=(), initializer=keras.initializers.Constant(initial_temperature)
        )
        self.built = True

    def summarize(self, features, labels, n_classes):
        """The means of the classes [K, F]; see `EmbeddingBasedClassifier.summarize`."""
        return {
            "centroids": tf.math.unsorted_segment_mean(features, labels, n_classes),
            "class_mask": class_mask(labels, n_classes),
        }

    def compare(self, adaptation, features, training):
        """Scaled cosines; see `EmbeddingBasedClassifier.compare`."""
        angles = cosines(features, adaptation["centroids"])
        return mask_logits(tf.cast(self.temperature, angles.dtype) * angles, adaptation["class_mask"])
