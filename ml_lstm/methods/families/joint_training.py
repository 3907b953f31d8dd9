"""The base classes of methods without meta-training: a network trained to classify all classes at once.

"We first train a network to classify between all the classes jointly in the original meta-training set" (Ravi &
Larochelle 2017, section 5.1). Episodes come only after this training; the methods differ in how the network answers
them.
"""

import keras
import tensorflow as tf

from ml_lstm.episode import Episode, LabelledBatch, Problem
from ml_lstm.learners import FunctionalLearner, embedding, in_dtype_of, require_features, take_momentum
from ml_lstm.methods.base import FewShotClassifier, Statistics
from ml_lstm.methods.families.inner_loop import mean_cross_entropy
from ml_lstm.options import Count, Share


class JointlyTrained(FewShotClassifier):
    """Trains a network and a dense head on mini-batches of all meta-train classes; a subclass answers episodes.

    The head is only for training: neither `adapt` nor `classify` nor an export reads it.

    Args:
        learner: the network, a built Keras model from images to features [n, F]; for example `embedding(conv4(...))`.
        problem: see `FewShotClassifier`; must have the number of meta-train classes, unless the network is trained
            already.
        batch_size: images in a batch; `episodes`, `meta_batch_size` and `validation_interval` count batches.
        batch_norm_momentum: weight of the newest batch in batch norm's averages, for layers of the learner without a
            momentum of their own.

    Raises:
        ValueError: for fewer than 2 classes to train on, an option out of range, or a learner that does not fit.
    """

    unused_options = frozenset({"train_k_shot", "train_n_query"})
    body_of = staticmethod(embedding)

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        batch_size: Count = 64,
        batch_norm_momentum: Share = 0.9,
        **kwargs,
    ):
        self.features_shape = require_features(learner, problem.image_shape, problem.n_way)
        super().__init__(problem, **in_dtype_of(learner, kwargs))
        if problem.train_classes is not None and problem.train_classes < 2:
            raise ValueError(f"train_classes of the problem must be at least 2, got {problem.train_classes}.")
        take_momentum(learner, batch_norm_momentum)
        self.learner = learner
        self.batch_size = batch_size
        self.batch_norm_momentum = batch_norm_momentum
        self.joint_head = None
        if problem.train_classes:
            self.joint_head = keras.layers.Dense(problem.train_classes, name="joint_head", dtype=self.dtype_policy)
            self.joint_head.build(self.features_shape)
        self.built = True

    def training_sampler(self, data):
        """Batches of all meta-train classes; see `FewShotClassifier.training_sampler`."""
        return data.batches(self.batch_size)

    def episode_loss(
        self, episode: Episode | LabelledBatch, training: bool, query_statistics: Statistics = "support"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The cross-entropy of a `LabelledBatch` in training, of an episode's queries otherwise.

        Returns:
            `(scalar loss in nats, logits)`, logits [n, train_classes] in training.

        Raises:
            ValueError: for training on an episode, or if the problem has no number of classes to train on.
        """
        if not training:
            return super().episode_loss(episode, training, query_statistics)
        if not isinstance(episode, LabelledBatch):
            raise ValueError(
                f"{type(self).__name__} trains on batches of all classes: use data.batches(batch_size).dataset()."
            )
        if self.joint_head is None:
            raise ValueError("The problem has no number of classes to train on: give it train_classes.")
        logits = self.joint_head(self.training_features(episode.images))
        return mean_cross_entropy(episode.labels, logits), logits

    def training_features(self, images) -> tf.Tensor:
        """Features of a mini-batch [n, H, W, C], normalised by its own statistics."""
        raise NotImplementedError


class NormalizedByEpisode(JointlyTrained):
    """A jointly trained network whose batch norm uses an episode's support set, and no averages from training.

    Args:
        learner, problem, **options: see `JointlyTrained`.

    Raises:
        ValueError: like `JointlyTrained`.
    """

    def __init__(self, learner: keras.Model, problem: Problem, **options):
        super().__init__(learner, problem, **options)
        self._network = FunctionalLearner(learner, may_be_frozen=True)

    def training_features(self, images):
        """See `JointlyTrained.training_features`; changes no averages."""
        features, _ = self._network(self._network.initial_state(), self.normalize(images), training=True)
        return features
