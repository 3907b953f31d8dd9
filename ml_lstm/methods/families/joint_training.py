"""What the methods share that need no meta-training: a network trained to tell all classes apart.

"We first train a network to classify between all the classes jointly in the original meta-training set" (Ravi &
Larochelle 2017, section 5.1). Only afterwards do episodes come in; how the network then answers them is what these
methods differ in.
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

    The head has served when training ends: neither `adapt` nor `classify` nor an export reads it.

    Args:
        learner: the network, a built Keras model from images to features [n, F]: `embedding(conv4(...))`, say.
        problem: see `FewShotClassifier`; with the number of classes to train on, unless the network is trained already.
        batch_size: images in a batch; `episodes`, `meta_batch_size` and `validation_interval` count batches.
        batch_norm_momentum: weight of the newest batch in batch norm's averages, for layers of the learner that have
            none of their own.

    Raises:
        ValueError: for fewer than 2 classes to train on, an option out of its range, or a learner that does not fit.
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
        """In training the cross-entropy of a `LabelledBatch`, else that of an episode's queries.

        Returns:
            `(scalar loss in nats, logits)`, logits [n, train_classes] in training.

        Raises:
            ValueError: for training on an episode, or where the problem has no number of classes to train on.
        """
        if not training:
            return super().episode_loss(episode, training, query_statistics)
        if not isinstance(episode, LabelledBatch):
            raise ValueError(
                f"{type(self).__name__} trains on batches of all classes: take data.batches(batch_size).dataset()."
            )
        if self.joint_head is None:
            raise ValueError("The problem does not say how many classes there are to train on: give it train_classes.")
        logits = self.joint_head(self.training_features(episode.images))
        return mean_cross_entropy(episode.labels, logits), logits

    def training_features(self, images) -> tf.Tensor:
        """Features of a mini-batch [n, H, W, C], normalised by itself."""
        raise NotImplementedError


class NormalizedByEpisode(JointlyTrained):
    """A jointly trained network whose batch norm knows an episode's support set, and nothing of training.

    Args:
        learner, problem, **options: see `JointlyTrained`.

    Raises:
        ValueError: as `JointlyTrained`.
    """

    def __init__(self, learner: keras.Model, problem: Problem, **options):
        super().__init__(learner, problem, **options)
        self._network = FunctionalLearner(learner, may_be_frozen=True)

    def training_features(self, images):
        """See `JointlyTrained.training_features`; no average moves."""
        features, _ = self._network(self._network.initial_state(), self.normalize(images), training=True)
        return features
