"""The base class of methods that are meta-trained to compare queries with the support set in a learned space."""

import keras
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import embedding, in_dtype_of, require_features, take_momentum
from ml_lstm.methods.base import Adaptation, Statistics
from ml_lstm.methods.families.inner_loop import mean_cross_entropy
from ml_lstm.methods.families.running_averages import KeepsAverages
from ml_lstm.options import Share


class EmbeddingBasedClassifier(KeepsAverages):
    """Embeds images and compares the embeddings; a subclass implements `summarize` and `compare`.

    In meta-training the images of an episode are embedded together and normalised by their joint statistics; the mean
    of these over the meta-batch updates the running averages of the network.

    Args:
        learner: the network, a built Keras model from images to features of rank `features_rank`; for example
            `embedding(conv4(...))`.
        problem: see `FewShotClassifier`; episodes after meta-training may have any number of classes.
        batch_norm_momentum: weight of the newest batch in the averages that are kept over meta-training, for layers of
            the learner without a momentum of their own.

    Raises:
        ValueError: for an option out of range, or a learner that does not fit.
    """

    features_rank = 2
    body_of = staticmethod(embedding)

    def __init__(self, learner: keras.Model, problem: Problem, *, batch_norm_momentum: Share = 0.05, **kwargs):
        self.features_shape = require_features(learner, problem.image_shape, problem.n_way, self.features_rank)
        super().__init__(problem, **in_dtype_of(learner, kwargs))
        take_momentum(learner, batch_norm_momentum)
        self.learner = learner
        self.batch_norm_momentum = batch_norm_momentum

    @property
    def trains(self) -> bool:
        """Whether there is something to train; a frozen network without additions has nothing."""
        return bool(self.trainable_variables)

    @property
    def most_classes(self) -> None:
        """See `FewShotClassifier.most_classes`."""
        return None

    def summarize(self, features: tf.Tensor, labels: tf.Tensor, n_classes: int | tf.Tensor) -> Adaptation:
        """The adaptation to a support set.

        Args:
            features: [S, ...], embeddings of the support images.
            labels: int32 [S].
            n_classes: K, of the problem.
        """
        raise NotImplementedError

    def compare(self, adaptation: Adaptation, features: tf.Tensor, training: bool) -> tf.Tensor:
        """Compares queries with a support set.

        Args:
            adaptation: from `summarize`.
            features: [Q, ...], embeddings of queries.
            training: whether this is meta-training.

        Returns:
            Logits [Q, K].
        """
        raise NotImplementedError

    def objective(
        self, logits: tf.Tensor, query_labels: tf.Tensor, features: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        """The loss of meta-training: the queries' cross-entropy, unless overridden.

        Args:
            logits: [Q, K], of the queries.
            query_labels: int32 [Q].
            features: [S + Q, ...], embeddings of support set and queries.
            labels: int32 [S + Q].
        """
        return mean_cross_entropy(query_labels, logits)

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Embeds the support set; see `FewShotClassifier.adapt`."""
        labels = self.support_classes(support_labels)
        return self.summarize(self.embed(support_images), labels, tf.reduce_max(labels) + 1)

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Compares queries with the support set; see `FewShotClassifier.classify`."""
        return self.compare(adaptation, self.query_features(query_images, query_statistics), training=False)

    def episode_loss(
        self, episode: Episode, training: bool, query_statistics: Statistics = "support"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`objective` and the queries' logits in training; see `FewShotClassifier.episode_loss`."""
        if not training:
            return super().episode_loss(episode, training, query_statistics)
        support_labels, query_labels = (
            tf.cast(labels, tf.int32) for labels in (episode.support_labels, episode.query_labels)
        )
        images = tf.concat([self.normalize(episode.support_images), self.normalize(episode.query_images)], axis=0)
        features = self.learner(images, training=True)
        n_support = episode.support_labels.shape[0]
        adaptation = self.summarize(features[:n_support], support_labels, self.n_way)
        logits = self.compare(adaptation, features[n_support:], training=True)
        labels = tf.concat([support_labels, query_labels], axis=0)
        return self.objective(logits, query_labels, features, labels), logits
