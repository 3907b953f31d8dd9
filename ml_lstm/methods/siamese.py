r"""Siamese network (Koch, Zemel & Salakhutdinov, Siamese Neural Networks for One-shot Image Recognition, 2015).

Two images go through the same network, and a weighted L1 distance of its outputs gives the probability that they are of
the same class. A query belongs to the class of the support image with the highest probability.
"""

from typing import Literal

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.nearest_example import best_of_class
from ml_lstm.options import Whole


@keras.saving.register_keras_serializable("ml_lstm")
class SiameseNetwork(EmbeddingBasedClassifier):
    r"""Verifies whether two images are of one class.

    .. math:: p(x_i, x_j) = \sigma(w \cdot |h(x_i) - h(x_j)| + b), \qquad h(x) = \sigma(U f_\theta(x) + u)

    h is the paper's dense layer (section 3.1); without `sigmoid_units` h is the features :math:`f_\theta` themselves.

    Meta-training minimises the binary cross-entropy of all pairs of images of an episode. Pairs of one class and pairs
    of two classes have a weight of one half each, as if equally many of both had been drawn. A class's logit is that of
    its best pair.

    Args:
        learner, problem: see `EmbeddingBasedClassifier`.
        sigmoid_units: units of the sigmoid layer h, which features pass before they are compared, 4096 in the paper;
            0: no such layer.
        similarity_start: initial weights w of the distance; random: of either sign; distance: all -8 / F for F
            features, so that the features' L1 distance decides from the start. Meant for a network that was trained
            before.
        **shared: see `EmbeddingBasedClassifier`.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        sigmoid_units: Whole = 0,
        similarity_start: Literal["random", "distance"] = "random",
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        self.sigmoid_units, self.similarity_start = sigmoid_units, similarity_start
        self.squashed, compared_shape = None, self.features_shape
        if sigmoid_units:
            activation = {"activation": "sigmoid", "name": "squashed"}
            self.squashed = keras.layers.Dense(sigmoid_units, dtype=self.dtype_policy, **activation)
            self.squashed.build(self.features_shape)
            compared_shape = (None, sigmoid_units)
        weights = (
            "glorot_uniform" if similarity_start == "random" else keras.initializers.Constant(-8 / compared_shape[-1])
        )
        self.similarity = keras.layers.Dense(1, kernel_initializer=weights, name="similarity", dtype=self.dtype_policy)
        self.similarity.build(compared_shape)
        self.built = True

    def summarize(self, features, labels, n_classes):
        """All examples' compared features, [S, F]; see `EmbeddingBasedClassifier.summarize`."""
        return {"features": self.compared(features), "labels": labels}

    def compare(self, adaptation, features, training):
        """The best pair's logit of each class; see `EmbeddingBasedClassifier.compare`."""
        labels = adaptation["labels"]
        n_classes = self.n_way if training else tf.reduce_max(labels) + 1
        return best_of_class(self.pair_logits(self.compared(features), adaptation["features"]), labels, n_classes)

    def compared(self, features: tf.Tensor) -> tf.Tensor:
        """h of features [n, F]: [n, `sigmoid_units`], or the features themselves."""
        return self.squashed(features) if self.squashed else features

    def pair_logits(self, features: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        """The logits [m, n] of being of one class, for h [m, F] and [n, F]."""
        return tf.squeeze(self.similarity(tf.abs(features[:, None] - others[None])), axis=-1)

    def objective(self, logits, query_labels, features, labels):
        """The loss of verifying all pairs; see `EmbeddingBasedClassifier.objective`."""
        same = tf.cast(tf.equal(labels[:, None], labels[None]), features.dtype)
        features = self.compared(features)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(same, self.pair_logits(features, features))
        other = 1.0 - same
        same -= tf.eye(tf.shape(same)[0], dtype=same.dtype)  # an image with itself is not a pair
        return (
            sum(tf.math.divide_no_nan(tf.reduce_sum(losses * kind), tf.reduce_sum(kind)) for kind in (same, other)) / 2
        )
