"""What the methods share that compare queries with the support set in a learned space.

The network does not change with the support set, so it is one function of one picture: its batch norm has running
averages that are kept over all of meta-training, as in these methods' papers, and no episode moves them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from ml_lstm import learners
from ml_lstm.distribution import replicas
from ml_lstm.episode import Episode, correct
from ml_lstm.learners import embedding
from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.families.inner_loop import mean_cross_entropy


class EmbeddingBasedClassifier(FewShotClassifier):
    """Embeds pictures and compares the embeddings; a subclass has `summarize` and `compare`.

    In meta-training an episode's pictures are embedded together, normalised by one another, and the running
    averages of the network take in their mean over the meta-batch.

    Args:
        learner: the network, a built Keras model from images to features, of rank `features_rank`.
        n_way: classes in a meta-training episode; others may have any number.
        image_mean: see `FewShotClassifier`.
        image_std: see `FewShotClassifier`.

    Raises:
        ValueError: for a learner that does not fit.
    """

    default_batch_norm_momentum = 0.05
    features_rank = 2
    body_of = staticmethod(embedding)  # what of a learner is the network

    def __init__(
        self,
        learner: keras.Model,
        n_way: int,
        image_mean: float | list[float] = 0.0,
        image_std: float | list[float] = 1.0,
        **kwargs,
    ):
        super().__init__(n_way, image_mean, image_std, **kwargs)
        if len(learner.output_shape) != self.features_rank:
            raise ValueError(f"The learner's output must have rank {self.features_rank}, got {learner.output_shape}.")
        self.learner = learner

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], image_shape: tuple[int, int, int], **arguments):
        """Builds the method that the commands' flags describe; see `FewShotClassifier.from_flags`."""
        n_way = flags["train_n_way"] or flags["n_way"]
        learner = learners.from_flags(flags, image_shape, n_way)
        return cls(cls.body_of(learner), n_way, **arguments)

    @property
    def most_classes(self) -> None:
        """See `FewShotClassifier.most_classes`."""
        return None

    def summarize(self, features: tf.Tensor, labels: tf.Tensor, n_classes: int | tf.Tensor) -> Adaptation:
        """What is kept of a support set.

        Args:
            features: [S, ...], its embeddings.
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
        """What meta-training lowers: the queries' cross-entropy, unless overridden.

        Args:
            logits: [Q, K], of the queries.
            query_labels: int32 [Q].
            features: [S + Q, ...], embeddings of support set and queries.
            labels: int32 [S + Q].
        """
        return mean_cross_entropy(query_labels, logits)

    def embed(self, images, training: bool = False) -> tf.Tensor:
        """Features of images [n, H, W, C], normalised by one another only if `training`."""
        return self.learner(self.normalize(images), training=training)

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Embeds the support set; see `FewShotClassifier.adapt`."""
        labels = tf.cast(support_labels, tf.int32)
        return self.summarize(self.embed(support_images), labels, tf.reduce_max(labels) + 1)

    def classify(self, adaptation: Adaptation, query_images, training: bool = False) -> tf.Tensor:
        """Compares queries with the support set; see `FewShotClassifier.classify`."""
        with keras.StatelessScope():  # the averages stay, transductive or not
            features = self.embed(query_images, training=self.transductive)
        return self.compare(adaptation, features, training=False)

    def episode_loss(self, episode: Episode, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """`objective` and the queries' logits; see `FewShotClassifier.episode_loss`."""
        if not training:
            return super().episode_loss(episode, training)
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

    def training_results(self, episodes: Episode) -> tuple[tf.Tensor, ...]:
        """What a meta-step lowers, and what it is judged by.

        Args:
            episodes: a meta-batch of B.

        Returns:
            `(losses [B], accuracies [B], *averages)`: of each episode, and what the running averages, the
            floating-point `non_trainable_variables`, are to be after it, [B, ...] each.
        """

        def results(episode):
            (loss, logits), moved = self.collecting(lambda: self.episode_loss(episode, training=True))
            return tf.cast(loss, tf.float32), tf.reduce_mean(correct(episode.query_labels, logits)), *moved

        return self.map_episodes(results, episodes)

    def collecting(self, function: Callable[[], Any]) -> tuple[Any, list[tf.Tensor]]:
        """Calls a function that would move the running averages.

        Args:
            function: of no argument.

        Returns:
            What it returned, and the averages as it would have them; they have not moved yet.
        """
        with keras.StatelessScope() as scope:
            result = function()
        moved = [(average, scope.get_current_value(average)) for average in self._averages()]
        return result, [tf.convert_to_tensor(old if new is None else new) for old, new in moved]

    def _averages(self):
        return [v for v in self.non_trainable_variables if v.dtype.startswith("float")]

    def meta_gradient(self, episodes):
        """The gradient, and on the way the running averages; see `FewShotClassifier.meta_gradient`."""
        with tf.GradientTape() as tape:
            losses, accuracies, *moved = self.training_results(Episode(*episodes))
            scaled_loss = self.optimizer.scale_loss(tf.reduce_mean(losses))
        gradients = tape.gradient(scaled_loss, self.trainable_variables)
        moved = replicas.mean([tf.reduce_mean(values, axis=0) for values in moved])
        for average, value in zip(self._averages(), moved, strict=True):
            average.assign(value)
        return losses, accuracies, gradients

    def get_config(self):
        names = ("n_way", "image_mean", "image_std")
        return super().get_config() | {
            "learner": keras.saving.serialize_keras_object(self.learner),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"learner": keras.saving.deserialize_keras_object(config["learner"])})
