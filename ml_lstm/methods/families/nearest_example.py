"""Parts of methods that give a query the class of its nearest example."""

import tensorflow as tf

from ml_lstm.methods.families.inner_loop import MASKED_LOGIT


def best_of_class(scores: tf.Tensor, labels: tf.Tensor, n_classes: int | tf.Tensor) -> tf.Tensor:
    """For each query and class, the score of the example of the class that is most like the query.

    Args:
        scores: [Q, S], of each query and example.
        labels: int [S], the classes of the examples.
        n_classes: K.

    Returns:
        [Q, K], with `MASKED_LOGIT` for a class without example.
    """
    best = tf.transpose(tf.math.unsorted_segment_max(tf.transpose(scores), labels, n_classes))
    return tf.maximum(best, tf.cast(MASKED_LOGIT, best.dtype))  # without an example it is the lowest float


def cosines(rows: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """The cosines [m, n] of the angles between rows [m, F] and others [n, F]."""
    return tf.matmul(tf.nn.l2_normalize(rows, axis=1), tf.nn.l2_normalize(others, axis=1), transpose_b=True)


def nearest_example_logits(queries: tf.Tensor, examples: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """For each query and class, the cosine of the angle between the query and the nearest example of the class.

    Args:
        queries: [Q, F].
        examples: [S, F].
        labels: int [S], the classes of the examples, K from 0.

    Returns:
        Logits [Q, K] in [-1, 1], or `MASKED_LOGIT` for a class without example.
    """
    return best_of_class(cosines(queries, examples), labels, tf.reduce_max(labels) + 1)
