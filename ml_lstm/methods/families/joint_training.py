"""What the baselines of Ravi & Larochelle (2017, section 5.1) share: a network trained to tell all classes apart.

"We first train a network to classify between all the classes jointly in the original meta-training set." Only
afterwards do episodes come in; how the network then answers them is what the baselines differ in.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from ml_lstm import learners
from ml_lstm.episode import Episode
from ml_lstm.learners import FunctionalLearner, embedding
from ml_lstm.methods.base import FewShotClassifier
from ml_lstm.methods.families.inner_loop import mean_cross_entropy


class JointlyTrained(FewShotClassifier):
    """Trains a network and a dense head on mini-batches of all meta-train classes; a subclass answers episodes.

    The head has served when training ends: neither `adapt` nor `classify` nor an export reads it.

    Args:
        learner: the network, a built Keras model from images to features [n, F]: `embedding(conv4(...))`, say.
        n_way: the most classes that an episode may have.
        train_classes: how many classes there are to train on, `FewShotData.train_classes`.
        image_mean: see `FewShotClassifier`.
        image_std: see `FewShotClassifier`.

    Raises:
        ValueError: for fewer than 2 `train_classes`, or a learner that does not fit.
    """

    trains_on = "classes"

    def __init__(
        self,
        learner: keras.Model,
        n_way: int,
        train_classes: int,
        image_mean: float | list[float] = 0.0,
        image_std: float | list[float] = 1.0,
        **kwargs,
    ):
        super().__init__(n_way, image_mean, image_std, **kwargs)
        if len(learner.output_shape) != 2:
            raise ValueError(f"The learner's output must be features [n, F], got {learner.output_shape}.")
        if train_classes < 2:
            raise ValueError(f"train_classes must be at least 2, got {train_classes}.")
        self.learner = learner
        self.train_classes = train_classes
        self.joint_head = keras.layers.Dense(train_classes, name="joint_head", dtype=self.dtype_policy)
        self.joint_head.build(learner.output_shape)
        self._network = FunctionalLearner(learner)
        self.built = True

    @classmethod
    def from_flags(
        cls, flags: Mapping[str, Any], image_shape: tuple[int, int, int], train_classes: int | None = None, **arguments
    ):
        """Builds the method that the commands' flags describe; see `FewShotClassifier.from_flags`."""
        n_way = max(flags["n_way"], flags["train_n_way"])
        learner = learners.from_flags(flags, image_shape, n_way)
        return cls(embedding(learner), n_way, train_classes, **arguments)

    def episode_loss(self, episode: Episode, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """In training the cross-entropy of a batch of `FewShotData.train_batches`, else that of an episode's queries.

        Returns:
            `(scalar loss in nats, logits)`, logits [Q, train_classes] in training.

        Raises:
            ValueError: for training on an episode with a support set.
        """
        if not training:
            return super().episode_loss(episode, training)
        if episode.support_labels.shape[0] != 0:
            raise ValueError(f"{type(self).__name__} trains on batches of all classes: take data.train_batches.")
        images = self.normalize(episode.query_images)
        features, _ = self._network(self._network.initial_state(), images, training=True)
        logits = self.joint_head(features)
        return mean_cross_entropy(episode.query_labels, logits), logits

    def get_config(self):
        names = ("n_way", "train_classes", "image_mean", "image_std")
        return super().get_config() | {
            "learner": keras.saving.serialize_keras_object(self.learner),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config | {"learner": keras.saving.deserialize_keras_object(config["learner"])})
