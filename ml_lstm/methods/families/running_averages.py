"""The base class of methods whose network does not change with the support set.

The network is a function of one image. Its batch norm has running averages over the whole training, as in these
methods' papers, and no episode changes them.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ml_lstm.distribution import replicas
from ml_lstm.episode import Episode, LabelledBatch, correct
from ml_lstm.learners import averages, seed_states
from ml_lstm.methods.base import FewShotClassifier, Statistics


class KeepsAverages(FewShotClassifier):
    """Embeds images by a `learner` with running averages, which each meta-batch updates by its mean."""

    keeps_averages = True

    @property
    def kept_averages(self) -> list[keras.Variable]:
        """The variables that training changes besides the gradient: the averages of batch norm, unless overridden."""
        return averages(self)

    def embed(self, images, training: bool = False) -> tf.Tensor:
        """Features of images [n, H, W, C], normalised by their own batch only if `training`."""
        return self.learner(self.normalize(images), training=training)

    def query_features(self, images, query_statistics: Statistics) -> tf.Tensor:
        """Features of queries [Q, H, W, C], normalised by the averages of training or by their own batch."""
        with keras.StatelessScope():  # keeps the averages unchanged in both cases
            return self.embed(images, training=query_statistics == "queries")

    def training_results(self, items: Episode | LabelledBatch) -> tuple[tf.Tensor, ...]:
        """The losses that a meta-step minimises, the accuracies, and the new averages.

        Args:
            items: a meta-batch of B.

        Returns:
            `(losses [B], accuracies [B], *averages)`: of each item, and the values of `kept_averages` after it,
            [B, ...] each.
        """

        def results(item):
            (loss, logits), moved = self.collecting(lambda: self.episode_loss(item, training=True))
            return tf.cast(loss, tf.float32), tf.reduce_mean(correct(item[-1], logits)), *moved

        return self.map_episodes(results, items)

    def collecting(self, function: Callable[[], Any]) -> tuple[Any, list[tf.Tensor]]:
        """Calls a function that updates the averages, and returns their new values instead of storing them.

        Args:
            function: without arguments.

        Returns:
            The function's result, and the new averages; the variables have not changed yet.
        """
        with keras.StatelessScope(seed_states(self)) as scope:
            result = function()
        moved = [(average, scope.get_current_value(average)) for average in self.kept_averages]
        return result, [tf.convert_to_tensor(old if new is None else new) for old, new in moved]

    def meta_gradient(self, episodes):
        """Computes the gradient, and updates the averages; see `FewShotClassifier.meta_gradient`."""
        with tf.GradientTape() as tape:
            losses, accuracies, *moved = self.training_results(episodes)
            scaled_loss = self.optimizer.scale_loss(tf.reduce_mean(losses))
        gradients = tape.gradient(scaled_loss, self.trainable_variables)
        moved = replicas.mean([tf.reduce_mean(values, axis=0) for values in moved])
        for average, value in zip(self.kept_averages, moved, strict=True):
            average.assign(value)
        return losses, accuracies, gradients
