"""What the nearest-neighbour baselines share: a query belongs to the class of the example most like it."""

import tensorflow as tf

from ml_lstm.methods.inner_loop import MASKED_LOGIT


def nearest_example_logits(queries: tf.Tensor, examples: tf.Tensor, labels: tf.Tensor, n_way: int) -> tf.Tensor:
    """For each query and class, the cosine of the angle between the query and the nearest example of the class.

    Args:
        queries: [Q, F].
        examples: [S, F].
        labels: int [S], the classes of the examples.
        n_way: the number of classes.

    Returns:
        Logits [Q, n_way] in [-1, 1], or `MASKED_LOGIT` for a class without example.
    """
    cosines = tf.matmul(tf.nn.l2_normalize(examples, axis=1), tf.nn.l2_normalize(queries, axis=1), transpose_b=True)
    best = tf.transpose(tf.math.unsorted_segment_max(cosines, labels, n_way))
    return tf.maximum(best, tf.cast(MASKED_LOGIT, best.dtype))  # of no example it is the lowest float
