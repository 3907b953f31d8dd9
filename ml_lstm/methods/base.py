"""The interface that every few-shot classifier keeps."""

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
"""All that a method keeps of a support set, by name: classifying a query needs nothing else."""

Statistics = Literal["support", "queries"]
"""What normalises queries."""

Schedule = Literal["constant", "cosine"]
"""How a learning rate goes."""


def scheduled(rate: float, schedule: Schedule, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A learning rate for a Keras optimizer; cosine: it falls to 1 % over `steps`."""
    return rate if schedule == "constant" else keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01)


class FewShotClassifier(Configured, MetaLearner):
    """A learner of small classification problems, as two pure functions.

        adaptation = method.adapt(support_images, support_labels)
        logits = method.classify(adaptation, query_images)

    A method implements these two, and overrides `episode_loss` if it trains by another loss than the
    cross-entropy of the queries. How it is trained is `MetaLearner`'s. What can be chosen of it are its constructor's
    keyword arguments, see `ml_lstm.options`; its other arguments are called `learner`, `problem` and `cell`, in this
    order, as far as it has them, and are kept as attributes of these names.

    Args:
        problem: what it is told of the data, `FewShotData.problem` say.

    Attributes:
        trains: whether there is something to train; of the class, whether there may be.
        splits_meta_batch: whether the episodes of a meta-batch are taken one by one, so that devices may share them.
        reads_sequences: whether it has `sequence_logits`, answers to images of a sequence as they come
            (`MemoryAugmentedNetwork`).
        keeps_averages: whether batch norm has running averages over all of training, rather than of each episode.
        body_of: what of a network of `LEARNERS` is the learner.

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
        """What `train` compiles the method with.

        Args:
            steps: meta-steps in all.
            learning_rate: of the meta-learner's Adam.
            learning_rate_schedule: how the learning rate goes; cosine: to 1 % of it at the last episode.
            clip_norm: global norm that meta-gradients are clipped to.
            adam_weight_decay: share of the learning rate that weights shrink by in a meta-step, apart from the gradient
                (Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019); not biases, nor the scales
                and shifts of batch norm.
        """
        rate = scheduled(learning_rate, learning_rate_schedule, steps)
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=clip_norm, weight_decay=adam_weight_decay or None)
        if adam_weight_decay:
            optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
        return optimizer

    def training_sampler(self, data):
        """What it trains on, by its index: meta-training episodes of `FewShotData`.

        Raises:
            DataError: if the meta-training classes are too few or too small for the episodes.
        """
        return data.sampler("train")

    @property
    def most_classes(self) -> int | None:
        """How many classes a support set may have; None for any number."""
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

        Raises:
            ValueError: for labels that are not numbers of classes; see `support_classes`.
        """
        raise NotImplementedError

    def explain(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """What happens in `adapt`, step by step; for a method that has `served_inner_steps`.

        Shapes: T inner steps, L layers of the learner that have parameters.

        Args:
            support_images, support_labels: as for `adapt`.

        Returns:
            `losses` float32 [T + 1]: of the whole support set before each step and after the last, in nats. With gates
            also `input_gates` and `forget_gates` float32 [T, L], by `UpdateRule.input_and_forget`, means over the
            parameters of each layer; and `layers` string [L], their names.
        """
        raise NotImplementedError

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Classifies queries, each on its own unless they are normalised by one another.

        Args:
            adaptation: what `adapt` returned.
            query_images: [Q, H, W, C], uint8 or float in [0, 1].
            query_statistics: what batch norm normalises queries by: `"support"`, what was known before they came, or
                `"queries"`, their own batch (transductive; the paper's meta-training). Without effect where there is
                no batch norm.

        Returns:
            Logits [Q, K], K at least the number of classes; hugely negative for those that the support set lacked.
        """
        raise NotImplementedError

    def unfamiliarity(self, adaptation: Adaptation, logits: tf.Tensor) -> tf.Tensor:
        r"""How little queries are like anything in the support set, in a measure of the method's own.

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
        """The share of queries of known classes that are no less strange than these, in (0, 1]; see `Calibrated`.

        Args:
            adaptation: what `adapt` returned.
            logits: what `classify` returned, [Q, K].

        Returns:
            float32 [Q]; None where the method was not calibrated.
        """
        return None

    @property
    def training_statistics(self) -> Statistics:
        """What normalises the queries of meta-training."""
        return "support"

    def episode_loss(
        self, episode: Episode, training: bool, query_statistics: Statistics = "support"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss that meta-training lowers, of one episode.

        Args:
            episode: without a batch dimension.
            training: False in validation, where queries are classified as they will be when served.
            query_statistics: see `classify`; in meta-training it is `training_statistics`.

        Returns:
            `(scalar loss in nats, logits [Q, K])`.
        """
        adaptation = self.adapt(episode.support_images, episode.support_labels, training=training)
        statistics = self.training_statistics if training else query_statistics
        logits = self.classify(adaptation, episode.query_images, query_statistics=statistics)
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

    def as_float(self, images) -> tf.Tensor:
        """Images [n, H, W, C], uint8 or float in [0, 1], as float in [0, 1]."""
        return tf.cast(as_unit_range(images), self.compute_dtype)

    def normalize(self, images) -> tf.Tensor:
        """Images [n, H, W, C], uint8 or float in [0, 1], as the float that the network sees.

        That is in [0, 1] still, where the learner normalises by itself (`ml_lstm.learners.Preprocessing`).
        """
        images = self.as_float(images)
        if normalizes_images(getattr(self, "learner", None)):
            return images
        mean, std = (tf.cast(value, images.dtype) for value in (self.problem.image_mean, self.problem.image_std))
        return (images - mean) / std

    def get_config(self):
        """See `keras.layers.Layer.get_config`; the problem is told by name, other parts as Keras tells them."""
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
