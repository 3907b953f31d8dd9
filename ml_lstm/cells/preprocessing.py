"""The gradient and loss preprocessing of Andrychowicz et al. (2016), appendix A."""

import math

import tensorflow as tf

NUM_FEATURES = 4


def preprocess(values: tf.Tensor, p: float = 10.0) -> tf.Tensor:
    r"""Splits numbers of any magnitude into two features in about [-1, 1].

    .. math:: v \mapsto (\log|v| / p,\ \mathrm{sgn}\,v) \text{ if } |v| \ge e^{-p},\ \text{else } (-1,\ e^p v)

    Args:
        values: any shape.
        p: how many e-folds below 1 a value still counts as large.

    Returns:
        [2, *values.shape].
    """
    magnitude = tf.abs(values)
    large = magnitude >= math.exp(-p)
    # The clamp keeps log finite in the branch that is not taken; else its gradient is NaN with second_order.
    log_magnitude = tf.math.log(tf.maximum(magnitude, math.exp(-p))) / p
    return tf.stack(
        [tf.where(large, log_magnitude, -1.0), tf.where(large, tf.sign(values), math.exp(p) * values)],
        axis=0,
    )


def update_features(loss: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """The meta-learner's input x_t = [pre(L_t), pre(gradient_t)].

    Args:
        loss: scalar.
        gradient: [P].

    Returns:
        [4, P].
    """
    gradient_features = preprocess(gradient)
    loss_features = tf.broadcast_to(preprocess(loss)[:, None], tf.shape(gradient_features))
    return tf.concat([loss_features, gradient_features], axis=0)
