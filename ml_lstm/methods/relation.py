r"""Relation Network (Sung et al., Learning to Compare: Relation Network for Few-Shot Learning, CVPR 2018).

A small convolutional network reads the stacked feature maps of a class and of a query, and scores from 0 to 1 how they
relate. Training moves the scores towards 1 for the query's class and towards 0 for the others.
"""

from typing import Literal

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.learners import EpisodicBatchNormalization, feature_maps
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits
from ml_lstm.options import Count


@keras.saving.register_keras_serializable("ml_lstm")
class RelationNetwork(EmbeddingBasedClassifier):
    r"""Scores pairs of a class and a query.

    .. math:: r_c(x) = g_\phi([\tfrac{1}{|S_c|} \sum_{i: y_i = c} f_\theta(x_i), f_\theta(x)]), \qquad
        L = \frac{1}{QK} \sum_{x, c} (r_c(x) - 1_{y(x) = c})^2

    where brackets join feature maps along the channels. A logit is log r, so probabilities are the scores
    divided by their sum. The paper sums the maps of a class, and always tests with the number of shots of its training.
    The mean equals the sum for one shot and differs by a factor for more; it allows shots to differ, even between
    classes.

    Args:
        learner: see `EmbeddingBasedClassifier`; outputs feature maps [n, h, w, F], for example `feature_maps(...)`.
        problem: see `EmbeddingBasedClassifier`.
        relation_units: units of the dense layer before the score.
        relation_start: initial weights of the first convolution of the relation module; random: independent for class
            and query; difference: those of the query are the negatives of those of the class, so that the module
            starts from the difference of the two maps. Meant for a network that was trained before.
        **shared: see `EmbeddingBasedClassifier`.

    Raises:
        ValueError: like `EmbeddingBasedClassifier`.
    """

    features_rank = 4
    body_of = staticmethod(feature_maps)

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        relation_units: Count = 8,
        relation_start: Literal["random", "difference"] = "random",
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        self.relation_units, self.relation_start = relation_units, relation_start
        self.relation = RelationModule(relation_units, dtype=self.dtype_policy)
        self.relation.build(self.features_shape)
        if relation_start == "difference":
            self.relation.start_from_difference()
        self.built = True

    def summarize(self, features, labels, n_classes):
        """Feature maps averaged over shots, [K, h, w, F]; see `EmbeddingBasedClassifier.summarize`."""
        return {
            "class_maps": tf.math.unsorted_segment_mean(features, labels, n_classes),
            "class_mask": class_mask(labels, n_classes),
        }

    def compare(self, adaptation, features, training):
        """Logarithms of the scores; see `EmbeddingBasedClassifier.compare`."""
        scores = self.relation(adaptation["class_maps"], features, training=training)
        return mask_logits(tf.math.log_sigmoid(scores), adaptation["class_mask"])

    def objective(self, logits, query_labels, features, labels):
        """Mean squared error of the scores; see `EmbeddingBasedClassifier.objective`."""
        related = tf.one_hot(query_labels, self.n_way, dtype=logits.dtype)
        return tf.reduce_mean(tf.math.squared_difference(tf.exp(logits), related))


class RelationModule(keras.layers.Layer):
    """Two blocks of (3x3 convolution, batch norm, ReLU, 2x2 max-pool), a dense ReLU layer, and one output.

    The first convolution is over two maps joined along the channels. As it is linear, it is the sum of one convolution
    over each; these are computed once for each map instead of once for each pair.

    Args:
        hidden_units: of the dense layer.
    """

    def __init__(self, hidden_units: int, **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = hidden_units

    def build(self, input_shape):
        *_, height, width, filters = input_shape

        def convolution(name, use_bias=True):
            layer = keras.layers.Conv2D(
                filters, 3, padding="same", use_bias=use_bias, name=name, dtype=self.dtype_policy
            )
            layer.build((None, height, width, filters))
            return layer

        self.of_class = convolution("of_class", use_bias=False)
        self.of_query = convolution("of_query")
        alike = {"dtype": self.dtype_policy}
        pairs = inputs = keras.Input((height, width, filters), dtype=self.compute_dtype)
        for convolve in (None, keras.layers.Conv2D(filters, 3, padding="same", **alike)):
            pairs = convolve(pairs) if convolve else pairs
            pairs = keras.layers.ReLU(**alike)(EpisodicBatchNormalization(0.05, **alike)(pairs))
            pairs = keras.layers.MaxPool2D(2, padding="same", **alike)(pairs)
        pairs = keras.layers.Flatten(**alike)(pairs)
        pairs = keras.layers.Dense(self.hidden_units, activation="relu", **alike)(pairs)
        self.rest = keras.Model(inputs, keras.layers.Dense(1, **alike)(pairs), dtype=self.dtype_policy)

    def start_from_difference(self):
        """Sets the first convolution's weights for the query to the negatives of those for the class."""
        self.of_query.kernel.assign(-self.of_class.kernel)

    def call(self, class_maps, query_maps, training=False):
        """Scores before the sigmoid, [Q, K], of class maps [K, h, w, F] and query maps [Q, h, w, F]."""
        joined = self.of_class(class_maps)[None] + self.of_query(query_maps)[:, None]
        shape = tf.shape(joined)
        pairs = tf.reshape(joined, [shape[0] * shape[1], *joined.shape[2:]])
        return tf.reshape(self.rest(pairs, training=training), shape[:2])
