"""The interface of every few-shot classifier."""

from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from ml_lstm import options
from ml_lstm.episode import Episode, LabelledBatch, Problem, as_unit_range, class_numbers
from ml_lstm.learners import normalizes_images
from ml_lstm.options import Configured, Rate, Weight
from ml_lstm.training.meta_step import MetaLearner

Adaptation = dict[str, tf.Tensor]
"""What a method keeps of a support set, by name: it needs nothing else to classify a query."""

Statistics = Literal["support", "queries"]
"""The source of the statistics that normalise queries."""

Schedule = Literal["constant", "cosine"]
"""The course of a learning rate."""


def scheduled(rate: float, schedule: Schedule, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A learning rate for a Keras optimizer; with a cosine schedule it falls to 1 % over `steps`."""
    return rate if schedule == "constant" else keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01)


class FewShotClassifier(Configured, MetaLearner):
    """A classifier for few-shot problems, as two pure functions.

        adaptation = method.adapt(support_images, support_labels)
        logits = method.classify(adaptation, query_images)

    A method implements these two, and overrides `episode_loss` if it trains with another loss than the
    cross-entropy of the queries. `MetaLearner` defines the training. The options of a method are its constructor's
    keyword arguments, see `ml_lstm.options`. Its other arguments are called `learner`, `problem` and `cell`, in this
    order; a method has some or all of them, and keeps them as attributes of these names.

    Args:
        problem: what the method knows of the data, for example `FewShotData.problem`.

    Attributes:
        trains: whether there is something to train; as a class attribute, whether there may be.
        splits_meta_batch: whether the episodes of a meta-batch are independent, so that devices may share them.
        reads_sequences: whether it has `sequence_logits`, which answers each image of a sequence as it comes
            (`MemoryAugmentedNetwork`).
        keeps_averages: whether batch norm has running averages over the whole training, not over each episode.
        body_of: returns the part of a network of `LEARNERS` that the method uses as its learner.

    Raises:
        ValueError: for fewer than 2 classes, or a mean or standard deviation of pixels that cannot normalise them.
    """

    trains = True
    splits_meta_batch = True
    reads_sequences = False
    keeps_averages = False
    body_of = staticmethod(lambda learner: learner)

    def __init__(self, problem: Problem, **kwargs):
        super().__init__(**kwargs)
        if problem.n_way < 2:
            raise ValueError(f"n_way of the problem must be at least 2, got {problem.n_way}.")
        if not np.isfinite(problem.image_mean).all():
            raise ValueError(f"image_mean of the problem must be finite, got {problem.image_mean}.")
        if not (np.isfinite(problem.image_std).all() and np.min(problem.image_std) > 0):
            raise ValueError(f"image_std of the problem must be positive and finite, got {problem.image_std}.")
        self.problem = problem
        self.n_way = problem.n_way

    @staticmethod
    def make_optimizer(
        steps: int,
        *,
        learning_rate: Rate = 1e-3,
        learning_rate_schedule: Schedule = "constant",
        clip_norm: Rate = 0.25,
        adam_weight_decay: Weight = 0.0,
    ) -> keras.optimizers.Optimizer:
        """The optimizer that `train` compiles the method with.

        Args:
            steps: number of meta-steps.
            learning_rate: learning rate of the meta-learner's Adam.
            learning_rate_schedule: course of the learning rate; cosine: it falls to 1 % at the last episode.
            clip_norm: global norm that meta-gradients are clipped to.
            adam_weight_decay: weights shrink by this share of the learning rate in each meta-step, separately from the
                gradient (Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019); this excludes biases
                and the scales and shifts of batch norm.
        """
        rate = scheduled(learning_rate, learning_rate_schedule, steps)
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=clip_norm, weight_decay=adam_weight_decay or None)
        if adam_weight_decay:
            optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
        return optimizer

    def training_sampler(self, data):
        """The sampler of what the method trains on, by index: meta-training episodes of `FewShotData`.

        Raises:
            DataError: if there are too few meta-training classes, or too few images in them, for the episodes.
        """
        return data.sampler("train")

    @property
    def most_classes(self) -> int | None:
        """The largest number of classes in a support set; None for any number."""
        return self.n_way

    def label_bound(self, items: Episode | LabelledBatch, training: bool) -> int | None:
        """See `MetaLearner.label_bound`."""
        if isinstance(items, LabelledBatch):
            return self.problem.train_classes
        return self.n_way if training else self.most_classes

    def support_classes(self, support_labels) -> tf.Tensor:
        """The labels of a support set as int32 [S].

        Raises:
            ValueError: see `class_numbers`; for more than `most_classes`.
        """
        return class_numbers(support_labels, self.most_classes)

    @property
    def served_inner_steps(self) -> int | None:
        """The number of weight updates for a support set, in evaluation and when served; None for a method without.

        If a method has such updates, the property can be set.
        """
        return None

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Learns a problem from its support set; writes no variable.

        Args:
            support_images: [S, H, W, C], uint8 or float in [0, 1].
            support_labels: int [S], in [0, `most_classes`); fewer classes are fine.
            training: whether this is meta-training, where some methods normalise in another way.

        Returns:
            The adaptation that `classify` needs.

        Raises:
            ValueError: for labels that are not valid class numbers; see `support_classes`.
        """
        raise NotImplementedError

    def explain(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """The steps of `adapt`, one by one; for a method that has `served_inner_steps`.

        Shapes: T inner steps, L layers of the learner that have parameters.

        Args:
            support_images, support_labels: as for `adapt`.

        Returns:
            `losses` float32 [T + 1]: of the whole support set before each step and after the last, in nats. A method
            with gates adds `input_gates` and `forget_gates` float32 [T, L], defined by `UpdateRule.input_and_forget`,
            as means over the parameters of each layer, and `layers` string [L], the names of the layers.
        """
        raise NotImplementedError

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Classifies queries; each answer depends on its own query only, unless `query_statistics` is `"queries"`.

        Args:
            adaptation: what `adapt` returned.
            query_images: [Q, H, W, C], uint8 or float in [0, 1].
            query_statistics: the statistics by which batch norm normalises queries: `"support"`, those known before the
                queries, or `"queries"`, those of their own batch (transductive; the paper's meta-training). Has no
                effect without batch norm.

        Returns:
            Logits [Q, K], K at least the number of classes; very large negative values for classes that the support set
            does not have.
        """
        raise NotImplementedError

    def unfamiliarity(self, adaptation: Adaptation, logits: tf.Tensor) -> tf.Tensor:
        r"""How different each query is from everything in the support set, on the method's own scale.

        Unless overridden it is the energy of the logits, :math:`-\log \sum_c \exp(l_c)` (Liu, Wang, Owens & Li,
        *Energy-based Out-of-distribution Detection*, NeurIPS 2020).

        Args:
            adaptation: what `adapt` returned.
            logits: what `classify` returned, [Q, K].

        Returns:
            [Q].
        """
        return -tf.reduce_logsumexp(logits, axis=1)

    def familiarity(self, adaptation: Adaptation, logits: tf.Tensor) -> tf.Tensor | None:
        """The share of queries of known classes that look at least as strange as these, in (0, 1]; see `Calibrated`.

        Args:
            adaptation: what `adapt` returned.
            logits: what `classify` returned, [Q, K].

        Returns:
            float32 [Q]; None if the method was not calibrated.
        """
        return None

    @property
    def training_statistics(self) -> Statistics:
        """The source of the statistics that normalise queries in meta-training."""
        return "support"

    def episode_loss(
        self, episode: Episode, training: bool, query_statistics: Statistics = "support"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of one episode, which meta-training minimises.

        Args:
            episode: without a batch dimension.
            training: False in validation, where queries are classified as when served.
            query_statistics: see `classify`; meta-training uses `training_statistics` instead.

        Returns:
            `(scalar loss in nats, logits [Q, K])`.
        """
        adaptation = self.adapt(episode.support_images, episode.support_labels, training=training)
        statistics = self.training_statistics if training else query_statistics
        logits = self.classify(adaptation, episode.query_images, query_statistics=statistics)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(episode.query_labels, logits)
        return tf.reduce_mean(losses), logits

    def tune(self, episodes: tf.data.Dataset) -> dict[str, float]:
        """Before each meta-validation, sets the values found by search instead of training; does nothing by default.

        Args:
            episodes: meta-validation episodes, in meta-batches.

        Returns:
            The chosen values, by name.
        """
        return {}

    def diagnostics(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """Values to plot as histograms during training, by name; empty unless overridden."""
        return {}

    def as_float(self, images) -> tf.Tensor:
        """Images [n, H, W, C], uint8 or float in [0, 1], as float in [0, 1]."""
        return tf.cast(as_unit_range(images), self.compute_dtype)

    def normalize(self, images) -> tf.Tensor:
        """Images [n, H, W, C], uint8 or float in [0, 1], as the network's float input.

        The result is still in [0, 1] if the learner normalises images itself (`ml_lstm.learners.Preprocessing`).
        """
        images = self.as_float(images)
        if normalizes_images(getattr(self, "learner", None)):
            return images
        mean, std = (tf.cast(value, images.dtype) for value in (self.problem.image_mean, self.problem.image_std))
        return (images - mean) / std

    def get_config(self):
        """See `keras.layers.Layer.get_config`; the problem's fields by name, other parts as Keras saves them."""
        made_of = {name: getattr(self, name) for name in options.parts(type(self))}
        problem = made_of.pop("problem")._asdict()
        return (
            super().get_config()
            | {name: keras.saving.serialize_keras_object(part) for name, part in made_of.items()}
            | {"problem": problem}
        )

    @classmethod
    def from_config(cls, config):
        parts = {name: config[name] for name in options.parts(cls) if name in config}
        problem = Problem(**parts.pop("problem"))
        problem = problem._replace(image_shape=tuple(problem.image_shape))
        made = {name: keras.saving.deserialize_keras_object(part) for name, part in parts.items()}
        return cls(**config | made | {"problem": problem})
