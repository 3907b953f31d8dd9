r"""Ridge regression on learned features, R2-D2 (Bertinetto, Henriques, Torr & Vedaldi, Meta-learning with
Differentiable Closed-form Solvers, ICLR 2019).

The linear function of the features that fits a support set best is computed in closed form. The gradient of
meta-training goes through this solution, so training finds features that such a function can classify.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.families.embedding_based import EmbeddingBasedClassifier
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits
from ml_lstm.options import Rate


@keras.saving.register_keras_serializable("ml_lstm")
class RidgeRegression(EmbeddingBasedClassifier):
    r"""Classifies by ridge regression of one-hot labels on features.

    .. math::
        W = \arg\min_W \tfrac{1}{S} \lVert X W - Y \rVert^2 + \lambda \lVert W \rVert^2
          = X^\top (X X^\top + S \lambda I)^{-1} Y, \qquad
        P(y = c | x) = \mathrm{softmax}_c(\alpha [f_\theta(x), 1] W + \beta)

    The rows of X are the support set's features followed by a one; those of Y are its one-hot labels. :math:`\lambda`,
    :math:`\alpha` and :math:`\beta` are learned; the weight of lambda is its logarithm, which keeps lambda positive.
    The ones, and the mean over examples, which makes lambda independent of their number, come from the authors' code.
    :math:`\beta` is equal for all classes and does not change the softmax; it is there so that scores are the paper's.

    Args:
        learner, problem: see `EmbeddingBasedClassifier`.
        initial_ridge: initial value of lambda.
        initial_scale: initial value of alpha; the authors use 10 for CIFAR-FS.
        **shared: see `EmbeddingBasedClassifier`.

    Raises:
        ValueError: like `EmbeddingBasedClassifier`.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        initial_ridge: Rate = 1.0,
        initial_scale: Rate = 10.0,
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        self.initial_ridge, self.initial_scale = initial_ridge, initial_scale
        self.log_ridge, self.scale, self.offset = (
            self.add_weight(name=name, shape=(), initializer=keras.initializers.Constant(value))
            for name, value in (("log_ridge", math.log(initial_ridge)), ("scale", initial_scale), ("offset", 0.0))
        )
        self.built = True

    def summarize(self, features, labels, n_classes):
        """The weights W without their last row, [F, K], and that row, [K]; see `EmbeddingBasedClassifier.summarize`."""
        features = _exact(features)
        inputs = tf.concat([features, tf.ones_like(features[:, :1])], axis=1)
        weights = ridge_weights(
            inputs, tf.one_hot(labels, n_classes, dtype=inputs.dtype), tf.exp(tf.cast(self.log_ridge, inputs.dtype))
        )
        return {"kernel": weights[:-1], "bias": weights[-1], "class_mask": class_mask(labels, n_classes)}

    def compare(self, adaptation, features, training):
        """The regression's values, scaled; see `EmbeddingBasedClassifier.compare`."""
        values = tf.matmul(_exact(features), adaptation["kernel"]) + adaptation["bias"]
        scale, offset = (tf.cast(weight, values.dtype) for weight in (self.scale, self.offset))
        return mask_logits(scale * values + offset, adaptation["class_mask"])


def _exact(features):
    """Features [n, F] in a precision in which a linear system can be solved: at least float32."""
    return features if features.dtype == tf.float64 else tf.cast(features, tf.float32)


def ridge_weights(inputs: tf.Tensor, targets: tf.Tensor, ridge: tf.Tensor) -> tf.Tensor:
    """Solves a ridge regression by Cholesky decomposition, in the smaller of its two linear systems (Woodbury).

    Args:
        inputs: X, [S, F].
        targets: Y, [S, K].
        ridge: lambda, positive, relative to the mean squared error over examples. A lambda far below the inputs'
            rounding errors is raised to their size, as otherwise the matrix would not be positive definite.

    Returns:
        W, [F, K].
    """
    examples, features = (tf.shape(inputs)[axis] for axis in (0, 1))
    inputs = inputs / tf.sqrt(tf.cast(examples, inputs.dtype))
    targets = targets / tf.sqrt(tf.cast(examples, inputs.dtype))
    rounding = float(np.finfo(inputs.dtype.as_numpy_dtype).eps)
    ridge = tf.maximum(ridge, 100.0 * rounding * tf.reduce_sum(tf.square(inputs)))

    def solved(gram, right, size):
        gram += ridge * tf.eye(size, dtype=gram.dtype)
        return tf.linalg.cholesky_solve(tf.linalg.cholesky(gram), right)

    def by_examples():
        coefficients = solved(tf.matmul(inputs, inputs, transpose_b=True), targets, examples)
        return tf.matmul(inputs, coefficients, transpose_a=True)

    def by_features():
        right = tf.matmul(inputs, targets, transpose_a=True)
        return solved(tf.matmul(inputs, inputs, transpose_a=True), right, features)

    if inputs.shape[0] is not None:
        return by_examples() if inputs.shape[0] <= inputs.shape[1] else by_features()
    return tf.cond(examples <= features, by_examples, by_features)
