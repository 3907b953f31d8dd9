"""The interface that every few-shot classifier keeps, and the training that they share."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from ml_lstm.distribution import replicas
from ml_lstm.episode import Episode
from ml_lstm.methods.families.inner_loop import correct

Adaptation = dict[str, tf.Tensor]
"""All that a method keeps of a support set, by name: classifying a query needs nothing else."""


class FirstNonFiniteEpisode(keras.metrics.Metric):
    """Index of the first meta-training episode whose loss or gradient was not finite, or -1; kept over epochs."""

    def __init__(self):
        super().__init__(name="first_non_finite_episode")
        self._index = self.add_variable((), initializer=keras.initializers.Constant(-1), dtype="int64", name="index")

    def update_state(self, losses, gradient_norm, step):
        """Takes in the losses [B] and the gradient's norm of the meta-batch number `step`."""
        size = tf.size(losses, out_type=tf.int64)
        bad = ~tf.math.is_finite(losses)
        index = tf.cast(step, tf.int64) * size + tf.argmax(bad)
        found = (tf.reduce_any(bad) | ~tf.math.is_finite(gradient_norm)) & (tf.convert_to_tensor(self._index) < 0)
        self._index.assign(tf.where(found, index, tf.convert_to_tensor(self._index)))

    def result(self):
        return self._index

    def reset_state(self):
        pass


class FewShotClassifier(keras.Model):
    """A learner of small classification problems, as two pure functions.

        adaptation = method.adapt(support_images, support_labels)
        logits = method.classify(adaptation, query_images)

    A method implements these two, and overrides `episode_loss` if it trains by another loss than the
    cross-entropy of the queries. `compile(optimizer=...)`, `fit` and `evaluate` take batches of `Episode`.

    Args:
        n_way: the most classes that a meta-training episode may have.
        image_mean: what is taken from pixels in [0, 1], a number or one a channel.
        image_std: what they are then divided by.

    Raises:
        ValueError: for an `n_way` below 2, or an `image_std` that is not positive.
    """

    # What a training step takes: "episodes"; "classes", batches of images from all meta-train classes, each an
    # `Episode` without a support set (`FewShotData.train_batches`); or None where there is nothing to train.
    trains_on: str | None = "episodes"

    # Whether the episodes of a meta-batch are taken one by one, so that devices may share them.
    splits_meta_batch = True

    # Whether it has `sequence_logits`, answers to pictures of a sequence as they come (`MemoryAugmentedNetwork`).
    reads_sequences = False

    # Weight of the newest batch in the averages of batch norm, where no flag gives another.
    default_batch_norm_momentum = 0.9

    def __init__(
        self,
        n_way: int,
        image_mean: float | list[float] = 0.0,
        image_std: float | list[float] = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if n_way < 2:
            raise ValueError(f"n_way must be at least 2, got {n_way}.")
        if tf.reduce_min(image_std) <= 0:
            raise ValueError(f"image_std must be positive, got {image_std}.")
        self.n_way = n_way
        self.image_mean = image_mean
        self.image_std = image_std
        self.transductive = False  # whether queries may always be normalised by one another
        self._means = {name: keras.metrics.Mean(name=name) for name in ("loss", "accuracy", "gradient_norm")}
        self.first_non_finite_episode = FirstNonFiniteEpisode()

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], image_shape: tuple[int, int, int], **normalization):
        """Builds the method that the commands' flags describe.

        Args:
            flags: values by name, see `ml_lstm.flags`; a method reads those that concern it.
            image_shape: `(height, width, channels)`.
            **normalization: `image_mean` and `image_std`; `train_classes` too, the number of meta-train classes,
                for a method that trains on `"classes"`.
        """
        raise NotImplementedError

    @staticmethod
    def make_optimizer(learning_rate, clip_norm: float) -> keras.optimizers.Optimizer:
        """What `train` compiles the method with.

        Args:
            learning_rate: a number or a schedule.
            clip_norm: global norm that meta-gradients are clipped to.
        """
        return keras.optimizers.Adam(learning_rate, global_clipnorm=clip_norm)

    @property
    def most_classes(self) -> int | None:
        """How many classes a support set may have; None for any number."""
        return self.n_way

    @property
    def served_inner_steps(self) -> int | None:
        """Updates of the weights for a support set, in evaluation and when served; None where there are none.

        A method that has some lets it be set.
        """
        return None

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Learns a problem from its support set, writing no variable.

        Args:
            support_images: [S, H, W, C], uint8 or float in [0, 1].
            support_labels: int [S], in [0, `most_classes`); fewer classes are fine.
            training: whether this is meta-training, where some methods normalise otherwise.

        Returns:
            What `classify` needs.
        """
        raise NotImplementedError

    def classify(self, adaptation: Adaptation, query_images, training: bool = False) -> tf.Tensor:
        """Classifies queries, each on its own unless `training`.

        Args:
            adaptation: what `adapt` returned.
            query_images: [Q, H, W, C], uint8 or float in [0, 1].
            training: whether queries may be normalised by one another (the paper's meta-training).

        Returns:
            Logits [Q, K], K at least the number of classes; hugely negative for those that the support set lacked.
        """
        raise NotImplementedError

    def episode_loss(self, episode: Episode, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss that meta-training lowers, of one episode.

        Args:
            episode: without a batch dimension.
            training: False in validation, where queries are classified as they will be when served.

        Returns:
            `(scalar loss in nats, logits [Q, K])`.
        """
        adaptation = self.adapt(episode.support_images, episode.support_labels, training=training)
        logits = self.classify(adaptation, episode.query_images, training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(episode.query_labels, logits)
        return tf.reduce_mean(losses), logits

    def tune(self, episodes: tf.data.Dataset) -> dict[str, float]:
        """Sets, before each meta-validation, what is searched for rather than trained; nothing unless overridden.

        Args:
            episodes: of meta-validation, in meta-batches.

        Returns:
            What was chosen, by name.
        """
        return {}

    def diagnostics(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """Values worth a histogram while training, by name; none unless a method has some."""
        return {}

    def normalize(self, images) -> tf.Tensor:
        """Images [n, H, W, C], uint8 or float in [0, 1], as the float that the network sees."""
        images = tf.convert_to_tensor(images)
        if images.dtype == tf.uint8:
            images = tf.cast(images, tf.float32) / 255.0
        images = tf.cast(images, self.compute_dtype)
        mean, std = tf.cast(self.image_mean, images.dtype), tf.cast(self.image_std, images.dtype)
        return (images - mean) / std

    def episode_results(self, episodes: Episode, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss [B] and accuracy [B] of each episode in a meta-batch, one independent of the other."""
        episodes = Episode(*episodes)
        if episodes.support_labels.shape.rank == 1:
            episodes = Episode(*(tensor[None] for tensor in episodes))

        def result(episode):
            loss, logits = self.episode_loss(episode, training)
            return tf.cast(loss, tf.float32), tf.reduce_mean(correct(episode.query_labels, logits))

        return self.map_episodes(result, episodes)

    @staticmethod
    def map_episodes(function: Callable[[Episode], tuple[tf.Tensor, ...]], episodes: Episode) -> tuple[tf.Tensor, ...]:
        """Calls a function with each episode of a meta-batch, side by side.

        Args:
            function: from an episode to floating-point tensors.
            episodes: a meta-batch of B.

        Returns:
            Those tensors, [B, ...] each.
        """
        size = episodes.support_labels.shape[0]
        if size is None:
            one = Episode(*(tf.TensorSpec(tensor.shape[1:], tensor.dtype) for tensor in episodes))
            results = tf.function(function, autograph=False).get_concrete_function(one).structured_outputs
            signature = tuple(tf.TensorSpec(result.shape, result.dtype) for result in results)
            return tf.map_fn(function, episodes, fn_output_signature=signature)
        # Traced once and called for each episode: short graphs to build, and the episodes run in parallel.
        function = tf.function(function, autograph=False)
        results = [function(Episode(*(tensor[index] for tensor in episodes))) for index in range(size)]
        return tuple(tf.stack(column) for column in zip(*results, strict=True))

    def meta_gradient(self, episodes: Episode) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """What the optimizer descends along: the gradient of the meta-batch's mean loss.

        Args:
            episodes: a meta-batch of B.

        Returns:
            Losses [B], accuracies [B] and the gradient to each of `trainable_variables`.
        """
        with tf.GradientTape() as tape:
            losses, accuracies = self.episode_results(episodes, training=True)
            scaled_loss = self.optimizer.scale_loss(tf.reduce_mean(losses))
        return losses, accuracies, tape.gradient(scaled_loss, self.trainable_variables)

    def train_step(self, episodes):
        """One meta-step: the compiled optimizer applies `meta_gradient`.

        Under a `tf.distribute` strategy `episodes` are a replica's share of the meta-batch, and what is applied and
        returned is that of the whole.
        """
        losses, accuracies, gradients = self.meta_gradient(episodes)
        losses, accuracies = replicas.joined(losses, accuracies)
        gradients = replicas.mean(gradients)
        gradient_norm = tf.linalg.global_norm(gradients)
        step = tf.convert_to_tensor(self.optimizer.iterations)
        self.first_non_finite_episode.update_state(losses, gradient_norm, step)
        replicas.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        self._means["loss"].update_state(losses)
        self._means["accuracy"].update_state(accuracies)
        self._means["gradient_norm"].update_state(gradient_norm)
        return {name: metric.result() for name, metric in self._means.items()}

    def test_step(self, episodes):
        """Loss and accuracy of a meta-batch, its queries classified as when served."""
        losses, accuracies = self.episode_results(episodes)
        self._means["loss"].update_state(losses)
        self._means["accuracy"].update_state(accuracies)
        return {name: self._means[name].result() for name in ("loss", "accuracy")}
