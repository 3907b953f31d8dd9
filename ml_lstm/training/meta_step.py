"""The outer update: how a meta-step uses the loss of each episode, and its integration into `fit`."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from ml_lstm.distribution import replicas
from ml_lstm.episode import Episode, LabelledBatch, as_meta_batch, correct, with_values_in_range
from ml_lstm.learners import meta_training


class FirstNonFiniteEpisode(keras.metrics.Metric):
    """Index of the first meta-training episode with a non-finite loss or gradient, or -1; not reset between epochs."""

    def __init__(self):
        super().__init__(name="first_non_finite_episode")
        self._index = self.add_variable((), initializer=keras.initializers.Constant(-1), dtype="int64", name="index")

    def update_state(self, losses, gradient_norm, step):
        """Checks the losses [B] and the gradient's norm of the meta-batch number `step`."""
        size = tf.size(losses, out_type=tf.int64)
        bad = ~tf.math.is_finite(losses)
        index = tf.cast(step, tf.int64) * size + tf.argmax(bad)
        found = (tf.reduce_any(bad) | ~tf.math.is_finite(gradient_norm)) & (tf.convert_to_tensor(self._index) < 0)
        self._index.assign(tf.where(found, index, tf.convert_to_tensor(self._index)))

    def result(self):
        return self._index

    def reset_state(self):
        pass


class MetaLearner(keras.Model):
    """A model that learns across episodes: a subclass defines `episode_loss`, and `fit` minimises it.

    `compile(optimizer=...)`, `fit` and `evaluate` take `Episode`s, in meta-batches or one by one, and report `loss`,
    `accuracy` and, in training, `gradient_norm`. Training loops other than Keras's can use the methods here too.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._means = {name: keras.metrics.Mean(name=name) for name in ("loss", "accuracy", "gradient_norm")}
        self.first_non_finite_episode = FirstNonFiniteEpisode()

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss=None,
        loss_weights=None,
        metrics: Sequence[str] | str | None = None,
        weighted_metrics=None,
        **settings,
    ) -> None:
        """Configures `fit`; a method has its own loss and metrics.

        Args:
            optimizer: of the meta-steps, see `make_optimizer`.
            loss: None.
            loss_weights: None.
            metrics: `["accuracy"]` or none: loss and accuracy are always reported.
            weighted_metrics: None.
            **settings: see `keras.Model.compile`.

        Raises:
            ValueError: for a loss, or for other metrics.
        """
        if loss is not None or loss_weights is not None:
            raise ValueError(f"{type(self).__name__} has its own loss, got loss={loss!r}: leave it out.")
        asked_for = [metrics] if isinstance(metrics, str) else list(metrics or ())
        others = [metric for metric in (*asked_for, *(weighted_metrics or ())) if metric not in ("accuracy", "loss")]
        if others:
            raise ValueError(f"{type(self).__name__} reports loss and accuracy, got metrics={others}: leave them out.")
        super().compile(optimizer, **settings)

    def compile_from_config(self, config):
        """Compiles a loaded method with its saved settings; Keras does this only for models without a `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics reported by the steps here, without Keras's mean of a compiled loss, also called `loss`."""
        return [metric for metric in super().metrics if metric.name != "loss" or metric is self._means["loss"]]

    @property
    def kept_averages(self) -> list[keras.Variable]:
        """The variables that a meta-step changes besides `trainable_variables`; none unless overridden."""
        return []

    def episode_loss(
        self, episode: Episode | LabelledBatch, training: bool, query_statistics: str = "support"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The meta-training loss of one episode, and its logits; see `FewShotClassifier.episode_loss`."""
        raise NotImplementedError

    def label_bound(self, items: Episode | LabelledBatch, training: bool) -> int | None:
        """The number of classes allowed for the labels of `fit`'s items; None, for any number, unless overridden."""
        return None

    def episode_results(
        self, items: Episode | LabelledBatch, training: bool = False, query_statistics: str = "support"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss [B] and accuracy [B] of each episode in a meta-batch; episodes do not depend on each other."""

        def result(item):
            loss, logits = self.episode_loss(item, training, query_statistics)
            return tf.cast(loss, tf.float32), tf.reduce_mean(correct(item[-1], logits))

        return self.map_episodes(result, as_meta_batch(items))

    @staticmethod
    def map_episodes(
        function: Callable[[Episode | LabelledBatch], tuple[tf.Tensor, ...]], items: Episode | LabelledBatch
    ) -> tuple[tf.Tensor, ...]:
        """Calls a function with each episode of a meta-batch, in parallel.

        Args:
            function: from an episode to floating-point tensors.
            items: a meta-batch of B.

        Returns:
            The results, [B, ...] each.
        """
        size = items[-1].shape[0]
        if size is None:
            one = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape[1:], tensor.dtype), items)
            results = tf.function(function, autograph=False).get_concrete_function(one).structured_outputs
            signature = tuple(tf.TensorSpec(result.shape, result.dtype) for result in results)
            return tf.map_fn(function, items, fn_output_signature=signature)
        # Traced once and called for each episode: the graph is built fast, and the episodes run in parallel.
        function = tf.function(function, autograph=False)
        results = [function(tf.nest.map_structure(lambda tensor: tensor[index], items)) for index in range(size)]  # noqa: B023
        return tuple(tf.stack(column) for column in zip(*results, strict=True))

    def meta_gradient(self, episodes: Episode) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The gradient of the meta-batch's mean loss, for the optimizer.

        Args:
            episodes: a meta-batch of B.

        Returns:
            Losses [B], accuracies [B] and the gradient with respect to each of `trainable_variables`.
        """
        with tf.GradientTape() as tape:
            losses, accuracies = self.episode_results(episodes, training=True)
            scaled_loss = self.optimizer.scale_loss(tf.reduce_mean(losses))
        return losses, accuracies, tape.gradient(scaled_loss, self.trainable_variables)

    def train_step(self, episodes):
        """One meta-step: the compiled optimizer applies `meta_gradient`.

        An episode that is not in a meta-batch is a meta-batch of one.
        Under a `tf.distribute` strategy `episodes` are a replica's share of the meta-batch; the step applies and
        returns the results of the whole meta-batch.
        """
        episodes = as_meta_batch(episodes)
        episodes = with_values_in_range(episodes, self.label_bound(episodes, training=True))
        step = tf.convert_to_tensor(self.optimizer.iterations)
        with meta_training(step):
            losses, accuracies, gradients = self.meta_gradient(episodes)
        losses, accuracies = replicas.joined(losses, accuracies)
        gradients = replicas.mean(gradients)
        gradient_norm = tf.linalg.global_norm(gradients)
        self.first_non_finite_episode.update_state(losses, gradient_norm, step)
        replicas.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        self._means["loss"].update_state(losses)
        self._means["accuracy"].update_state(accuracies)
        self._means["gradient_norm"].update_state(gradient_norm)
        return {name: metric.result() for name, metric in self._means.items()}

    def test_step(self, episodes):
        """Loss and accuracy of a meta-batch, with queries classified as when served."""
        episodes = as_meta_batch(episodes)
        episodes = with_values_in_range(episodes, self.label_bound(episodes, training=False))
        losses, accuracies = self.episode_results(episodes)
        self._means["loss"].update_state(losses)
        self._means["accuracy"].update_state(accuracies)
        return {name: self._means[name].result() for name in ("loss", "accuracy")}
