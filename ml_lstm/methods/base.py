"""The interface that every few-shot classifier keeps."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from ml_lstm.episode import Episode
from ml_lstm.training.meta_step import MetaLearner

Adaptation = dict[str, tf.Tensor]
"""All that a method keeps of a support set, by name: classifying a query needs nothing else."""


class FewShotClassifier(MetaLearner):
    """A learner of small classification problems, as two pure functions.

        adaptation = method.adapt(support_images, support_labels)
        logits = method.classify(adaptation, query_images)

    A method implements these two, and overrides `episode_loss` if it trains by another loss than the
    cross-entropy of the queries. How it is trained is `MetaLearner`'s.

    Args:
        n_way: the most classes that a meta-training episode may have.
        image_mean: what is taken from pixels in [0, 1], a number or one a channel.
        image_std: what they are then divided by.

    Raises:
        ValueError: for an `n_way` below 2, or an `image_std` that is not positive.
    """

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
        """The cross-entropy of the queries; see `MetaLearner.episode_loss`."""
        adaptation = self.adapt(episode.support_images, episode.support_labels, training=training)
        logits = self.classify(adaptation, episode.query_images, training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(episode.query_labels, logits)
        return tf.reduce_mean(losses), logits

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
