r"""Siamese network (Koch, Zemel & Salakhutdinov, Siamese Neural Networks for One-shot Image Recognition, 2015).

Two pictures go through the same network, and a weighted L1 distance of what comes out tells how probably they are of
the same class. A query belongs to the class of the support picture that it most probably shares.
"""

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.nearest_example import best_of_class


@keras.saving.register_keras_serializable("ml_lstm")
class SiameseNetwork(EmbeddingBasedClassifier):
    r"""Verifies whether two pictures are of one class.

    .. math:: p(x_i, x_j) = \sigma(w \cdot |f_\theta(x_i) - f_\theta(x_j)| + b)

    Meta-training lowers the binary cross-entropy of all pairs of pictures of an episode, those of one class
    and those of two classes weighing half each, as if as many of both had been drawn. A class's logit is that of its
    best pair.

    Args:
        learner, problem, **shared: see `EmbeddingBasedClassifier`.
    """

    def __init__(self, learner: keras.Model, problem: Problem, **shared):
        super().__init__(learner, problem, **shared)
        self.similarity = keras.layers.Dense(1, name="similarity", dtype=self.dtype_policy)
        self.similarity.build(self.features_shape)
        self.built = True

    def summarize(self, features, labels, n_classes):
        """All embeddings [S, F]; see `EmbeddingBasedClassifier.summarize`."""
        return {"features": features, "labels": labels}

    def compare(self, adaptation, features, training):
        """The best pair's logit of each class; see `EmbeddingBasedClassifier.compare`."""
        labels = adaptation["labels"]
        n_classes = self.n_way if training else tf.reduce_max(labels) + 1
        return best_of_class(self.pair_logits(features, adaptation["features"]), labels, n_classes)

    def pair_logits(self, features: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        """Of [m, F] and [n, F]: the logits [m, n] of being of one class."""
        return tf.squeeze(self.similarity(tf.abs(features[:, None] - others[None])), axis=-1)

    def objective(self, logits, query_labels, features, labels):
        """Verification of all pairs; see `EmbeddingBasedClassifier.objective`."""
        same = tf.cast(tf.equal(labels[:, None], labels[None]), features.dtype)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(same, self.pair_logits(features, features))
        other = 1.0 - same
        same -= tf.eye(tf.shape(same)[0], dtype=same.dtype)  # a picture with itself is no pair
        return (
            sum(tf.math.divide_no_nan(tf.reduce_sum(losses * kind), tf.reduce_sum(kind)) for kind in (same, other)) / 2
        )
