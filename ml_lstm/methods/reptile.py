r"""Reptile (Nichol, Achiam & Schulman, On First-Order Meta-Learning Algorithms, 2018).

A network is trained on one problem after another, each time from the initial weights, and these are then moved
a little towards what the training made of them. There is no gradient through the training, and no query set:
in meta-training the examples of both sets are trained on.
"""

import keras
import tensorflow as tf

from ml_lstm.episode import Episode, correct
from ml_lstm.methods.families.gradient_descent import GradientDescentClassifier


@keras.saving.register_keras_serializable("ml_lstm")
class Reptile(GradientDescentClassifier):
    r"""Learns the initial weights of a network for gradient descent, by gradient descent alone.

    .. math:: \theta \leftarrow \theta + \epsilon \frac{1}{B} \sum_{i=1}^{B} (SGD(L_i, \theta, k) - \theta)

    over the B episodes of a meta-batch (1: the serial version). Compile it with `keras.optimizers.SGD`, whose
    learning rate is :math:`\epsilon`: the meta-gradient is what the inner steps took from the weights.

    Args:
        learner: see `GradientBasedClassifier`.
        inner_learning_rate: of the gradient descent.
        **settings: see `GradientBasedClassifier`; `inner_steps` is k. `second_order` is refused, and
            `query_statistics` of no use.

    Raises:
        ValueError: for `second_order`, and as `GradientDescentClassifier`.
    """

    def __init__(self, learner: keras.Model, inner_learning_rate: float = 0.1, **settings):
        super().__init__(learner, inner_learning_rate, **settings)
        if self.second_order:
            raise ValueError("Reptile takes no gradient through its inner steps; got second_order=True.")

    @staticmethod
    def make_optimizer(learning_rate, clip_norm):
        """Interpolation, nothing clipped; see `FewShotClassifier.make_optimizer`."""
        return keras.optimizers.SGD(learning_rate)

    def meta_gradient(self, episodes):
        """Initial less adapted weights, mean over the meta-batch; see `FewShotClassifier.meta_gradient`."""

        def results(episode):
            images = tf.concat([self.normalize(episode.support_images), self.normalize(episode.query_images)], axis=0)
            labels = tf.concat([episode.support_labels, episode.query_labels], axis=0)
            *_, last = self.steps(images, labels, training=True)
            logits, _ = self.network(last.learner, images, training=True)
            moved = self.network.initial_state(self.n_way).parameters - last.learner.parameters
            return last.loss, tf.reduce_mean(correct(labels, logits)), moved

        losses, accuracies, moved = self.map_episodes(results, Episode(*episodes))
        # A shared head moves as one: all outputs by the mean of what each was moved.
        moved = self.network.spread(tf.reduce_mean(moved, axis=0), self.n_way)
        return losses, accuracies, self.network.unflatten(moved)
