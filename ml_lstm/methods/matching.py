r"""Matching Networks (Vinyals et al., Matching Networks for One Shot Learning, NIPS 2016).

A query attends to the support set by the cosine of its embedding with each support embedding. The probability of a
class is the sum of the attention to its examples. With full context embeddings, each embedding also depends on the
whole support set: that of a support example through a bidirectional LSTM over the set, that of a query through an LSTM
that reads the set several times.
"""

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.inner_loop import canonical_order, class_mask, mask_logits
from ml_lstm.methods.families.nearest_example import cosines
from ml_lstm.options import Count, Rate


@keras.saving.register_keras_serializable("ml_lstm")
class MatchingNetworks(EmbeddingBasedClassifier):
    r"""Classifies by attention to the support set.

    .. math:: P(y = c | x) = \sum_{i: y_i = c} a(x, x_i), \qquad
        a(x, x_i) = \mathrm{softmax}_i(\beta \cos(f(x), g(x_i)))

    Args:
        learner: see `EmbeddingBasedClassifier`; it computes both f and g.
        problem: see `EmbeddingBasedClassifier`.
        full_context: whether f and g depend on the whole support set, see `FullContext`.
        read_steps: K, how often a query's LSTM reads from the support set, with `full_context`.
        attention_scale: factor on the cosines before their softmax, 1 in the paper; a cosine is at most
            1, so with a factor of 1 the attention stays soft, which limits what training can learn.
        **shared: see `EmbeddingBasedClassifier`.

    Raises:
        ValueError: like `EmbeddingBasedClassifier`.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        full_context: bool = False,
        read_steps: Count = 5,
        attention_scale: Rate = 1.0,
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        self.attention_scale = attention_scale
        self.full_context = full_context
        self.read_steps = read_steps
        self.context = (
            FullContext(self.features_shape[-1], read_steps, dtype=self.dtype_policy) if full_context else None
        )
        self.built = True

    def summarize(self, features, labels, n_classes):
        """The support set's embeddings [S, F], in context; see `EmbeddingBasedClassifier.summarize`."""
        if self.context:
            order = canonical_order(features, labels)  # the LSTM needs an order that does not depend on the caller's
            labels = tf.gather(labels, order)
            features = self.context.of_support(tf.gather(features, order))
        return {"features": features, "labels": labels}

    def compare(self, adaptation, features, training):
        """Logarithms of the attention to each class; see `EmbeddingBasedClassifier.compare`."""
        support, labels = adaptation["features"], adaptation["labels"]
        n_classes = self.n_way if training else tf.reduce_max(labels) + 1
        if self.context:
            features = self.context.of_queries(features, support)
        attention = tf.nn.softmax(self.attention_scale * cosines(features, support))
        probabilities = tf.transpose(tf.math.unsorted_segment_sum(tf.transpose(attention), labels, n_classes))
        tiny = tf.constant(probabilities.dtype.as_numpy_dtype(1e-30))  # for a class without an example
        return mask_logits(tf.math.log(probabilities + tiny), class_mask(labels, n_classes))


class FullContext(keras.layers.Layer):
    r"""Embeddings that depend on the whole support set (appendix A of the paper).

    The embedding of a support example is its plain embedding plus the output of a bidirectional LSTM over the set:

    .. math:: g(x_i, S) = \overrightarrow{h}_i + \overleftarrow{h}_i + g'(x_i)

    The embedding of a query comes from K steps of an LSTM that attends to these:

    .. math::
        \hat h_t, c_t &= \mathrm{LSTM}(f'(x), [h_{t-1}, r_{t-1}], c_{t-1}), \qquad h_t = \hat h_t + f'(x) \\
        r_{t-1} &= \sum_i \mathrm{softmax}_i(h_{t-1} \cdot g(x_i)) g(x_i), \qquad f(x, S) = h_K

    from h_0 = c_0 = 0.

    Args:
        units: F, of the plain embeddings and of the LSTMs.
        read_steps: K.

    Raises:
        ValueError: for `read_steps` below 1.
    """

    def __init__(self, units: int, read_steps: int, **kwargs):
        super().__init__(**kwargs)
        if read_steps < 1:
            raise ValueError(f"read_steps must be at least 1, got {read_steps}.")
        self.units = units
        self.read_steps = read_steps
        self.over_support = keras.layers.Bidirectional(
            keras.layers.LSTM(units, return_sequences=True, dtype=self.dtype_policy),
            merge_mode="sum",
            dtype=self.dtype_policy,
        )
        # An LSTM with state [h, r] is equivalent to one with input [f'(x), r] and state h.
        self.reader = keras.layers.LSTMCell(units, dtype=self.dtype_policy)
        self.over_support.build((1, None, units))
        self.reader.build((None, 2 * units))
        self.built = True

    def of_support(self, features: tf.Tensor) -> tf.Tensor:
        """g of plain embeddings [S, F], which the LSTM reads in this order."""
        return self.over_support(features[None])[0] + features

    def of_queries(self, features: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
        """f of plain embeddings [Q, F], independent of each other, given g [S, F]."""
        hidden = cell = tf.zeros_like(features)
        for _ in range(self.read_steps):
            attention = tf.nn.softmax(tf.matmul(hidden, support, transpose_b=True))
            read = tf.matmul(attention, support)
            output, (_, cell) = self.reader(tf.concat([features, read], axis=1), [hidden, cell])
            hidden = output + features
        return hidden
