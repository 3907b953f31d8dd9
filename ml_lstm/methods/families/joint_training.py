"""What the baselines of Ravi & Larochelle (2017, section 5.1) share: a network trained to tell all classes apart.

"We first train a network to classify between all the classes jointly in the original meta-training set." Only
afterwards do episodes come in; how the network then answers them is what the baselines differ in.
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
        problem: see `FewShotClassifier`; with the number of classes to train on.
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
        if problem.train_classes is None or problem.train_classes < 2:
            raise ValueError(f"train_classes of the problem must be at least 2, got {problem.train_classes}.")
        take_momentum(learner, batch_norm_momentum)
        self.learner = learner
        self.batch_size = batch_size
        self.batch_norm_momentum = batch_norm_momentum
        self.joint_head = keras.layers.Dense(problem.train_classes, name="joint_head", dtype=self.dtype_policy)
        self.joint_head.build(self.features_shape)
        self._network = FunctionalLearner(learner, may_be_frozen=True)
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
            ValueError: for training on an episode.
        """
        if not training:
            return super().episode_loss(episode, training, query_statistics)
        if not isinstance(episode, LabelledBatch):
            raise ValueError(
                f"{type(self).__name__} trains on batches of all classes: take data.batches(batch_size).dataset()."
            )
        features, _ = self._network(self._network.initial_state(), self.normalize(episode.images), training=True)
        logits = self.joint_head(features)
        return mean_cross_entropy(episode.labels, logits), logits
