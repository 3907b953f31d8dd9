r"""Reptile (Nichol, Achiam & Schulman, On First-Order Meta-Learning Algorithms, 2018).

A network is trained on one problem after another, each time from the initial weights. These then move a little
towards the trained weights. No gradient goes through the training, and there is no query set: meta-training trains on
the examples of both sets.
"""

import keras
import tensorflow as tf

from ml_lstm.episode import Episode, correct
from ml_lstm.methods.base import Schedule, scheduled
from ml_lstm.methods.families.gradient_descent import GradientDescentClassifier
from ml_lstm.options import Rate


@keras.saving.register_keras_serializable("ml_lstm")
class Reptile(GradientDescentClassifier):
    r"""Learns the initial weights of a network for gradient descent, by gradient descent alone.

    .. math:: \theta \leftarrow \theta + \epsilon \frac{1}{B} \sum_{i=1}^{B} (SGD(L_i, \theta, k) - \theta)

    over the B episodes of a meta-batch (1: the serial version). Compile it with `keras.optimizers.SGD`, whose
    learning rate is :math:`\epsilon`: the meta-gradient is the initial weights minus the adapted ones.

    Args:
        learner, problem: see `GradientBasedClassifier`.
        **shared: see `GradientDescentClassifier`; `inner_steps` is k. Options about a gradient through the inner steps,
            or about queries in meta-training, raise an error.

    Raises:
        ValueError: like `GradientDescentClassifier`.
    """

    unused_options = frozenset({"second_order", "several_step_loss", "query_statistics", "recompute_inner_steps"})

    @staticmethod
    def make_optimizer(steps: int, *, learning_rate: Rate = 1e-3, learning_rate_schedule: Schedule = "constant"):
        """SGD, which interpolates between weights, without clipping; see `FewShotClassifier.make_optimizer`.

        Args:
            steps: number of meta-steps.
            learning_rate: size of the step from the initial weights towards the adapted ones.
            learning_rate_schedule: course of the learning rate; cosine: it falls to 1 % at the last episode.
        """
        return keras.optimizers.SGD(scheduled(learning_rate, learning_rate_schedule, steps))

    def meta_gradient(self, episodes):
        """Initial minus adapted weights, mean over the meta-batch; see `FewShotClassifier.meta_gradient`."""

        def results(episode):
            images = tf.concat([self.prepare(episode.support_images), self.prepare(episode.query_images)], axis=0)
            labels = tf.concat([episode.support_labels, episode.query_labels], axis=0)
            *_, last = self.steps(images, labels, training=True)
            logits, _ = self.network.finish(last.learner, images, training=True)
            moved = self.network.initial_state(self.n_way).parameters - last.learner.parameters
            return last.loss, tf.reduce_mean(correct(labels, logits)), moved

        losses, accuracies, moved = self.map_episodes(results, Episode(*episodes))
        # A shared head moves as a whole: all outputs by the mean of their moves.
        moved = self.network.spread(tf.reduce_mean(moved, axis=0), self.n_way)
        return losses, accuracies, self.network.unflatten(moved)
