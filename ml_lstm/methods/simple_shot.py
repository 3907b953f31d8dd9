r"""SimpleShot (Wang, Chao, Weinberger & van der Maaten, SimpleShot: Revisiting Nearest-Neighbor Classification for
Few-Shot Learning, 2019).

A network is trained to classify all meta-train classes jointly, as usual. A new class is the mean of its support
examples' features, and a query belongs to the nearest mean. The strength of the method comes from transforming features
first: it subtracts the mean of the meta-train classes and scales features to length 1.
"""

from typing import Literal

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.base import Adaptation, Statistics
from ml_lstm.methods.families.inner_loop import class_mask, mask_logits, squared_distances
from ml_lstm.methods.families.joint_training import JointlyTrained
from ml_lstm.methods.families.running_averages import KeepsAverages
from ml_lstm.options import Share


@keras.saving.register_keras_serializable("ml_lstm")
class SimpleShot(KeepsAverages, JointlyTrained):
    r"""Classifies by the distance to the mean of each class, in transformed features of a jointly trained network.

    .. math::
        z(x) = \frac{f_\theta(x) - \bar f}{\lVert f_\theta(x) - \bar f \rVert}, \qquad
        v_c = \frac{1}{|S_c|} \sum_{(x_i, y_i) \in S_c} z(x_i), \qquad
        P(y = c | x) = \mathrm{softmax}_c(-\lVert z(x) - v_c \rVert^2)

    where :math:`\bar f`, stored in `base_mean`, is the mean of the meta-train classes' features. It is a running
    average over the training batches, each normalised by its own statistics, like the averages of batch norm, and with
    the same momentum: the network changes during training, so its earlier features would differ. A network that is not
    trained here has no such mean; then the mean over the support set's classes of each class's mean replaces it.

    Args:
        learner, problem: see `JointlyTrained`.
        transform: transform of the features; CL2N: subtract the mean of the meta-train classes and scale to length 1;
            L2N: scale to length 1; UN: none.
        batch_norm_momentum: weight of the newest batch in the averages that are kept over training: those of the
            features and, for layers of the learner without a momentum of their own, of batch norm.
        **shared: see `JointlyTrained`.

    Raises:
        ValueError: like `JointlyTrained`.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        transform: Literal["CL2N", "L2N", "UN"] = "CL2N",
        batch_norm_momentum: Share = 0.05,
        **shared,
    ):
        super().__init__(learner, problem, batch_norm_momentum=batch_norm_momentum, **shared)
        self.transform = transform
        features = self.features_shape[-1]
        self.base_mean = self.add_weight(name="base_mean", shape=(features,), initializer="zeros", trainable=False)
        self.base_collected = self.add_weight(name="base_collected", shape=(), initializer="zeros", trainable=False)

    @property
    def most_classes(self) -> None:
        """See `FewShotClassifier.most_classes`."""
        return None

    @property
    def kept_averages(self):
        """The averages of batch norm and of the features; see `KeepsAverages.kept_averages`."""
        return [*super().kept_averages, self.base_mean, self.base_collected]

    def training_features(self, images):
        """See `JointlyTrained.training_features`; updates the averages."""
        features = self.embed(images, training=True)
        mean = tf.cast(tf.reduce_mean(tf.stop_gradient(features), axis=0), self.base_mean.dtype)
        known = tf.convert_to_tensor(self.base_collected) > 0
        newest = tf.where(known, tf.constant(self.batch_norm_momentum, mean.dtype), tf.ones([], mean.dtype))
        self.base_mean.assign((1 - newest) * self.base_mean + newest * mean)
        self.base_collected.assign(tf.ones_like(self.base_collected))
        return features

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """The mean of each class, and the centre subtracted from features; see `FewShotClassifier.adapt`."""
        labels = self.support_classes(support_labels)
        features = self.embed(support_images)
        n_classes = tf.reduce_max(labels) + 1
        centre = self._centre(features, labels, n_classes)
        return {
            "centroids": tf.math.unsorted_segment_mean(self._transformed(features, centre), labels, n_classes),
            "centre": centre,
            "class_mask": class_mask(labels, n_classes),
        }

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Minus the squared distances; see `FewShotClassifier.classify`."""
        features = self._transformed(self.query_features(query_images, query_statistics), adaptation["centre"])
        return mask_logits(-squared_distances(features, adaptation["centroids"]), adaptation["class_mask"])

    def unfamiliarity(self, adaptation: Adaptation, logits: tf.Tensor) -> tf.Tensor:
        r"""For features of length 1, minus the largest :math:`z(x) \cdot v_c`; see `FewShotClassifier.unfamiliarity`.

        Its mean for a query of class c does not depend on how many examples the class has, while the mean of the
        distance does.
        """
        if self.transform == "UN":
            return super().unfamiliarity(adaptation, logits)
        lengths = tf.reduce_sum(tf.square(adaptation["centroids"]), axis=1)
        return -tf.reduce_max((1.0 + lengths + logits) / 2.0, axis=1)

    def _centre(self, features, labels, n_classes):
        """The centre [F] to subtract from features [S, F]; zero for a transform without one."""
        if self.transform != "CL2N":
            return tf.zeros_like(features[0])
        present = tf.cast(class_mask(labels, n_classes), features.dtype)
        of_classes = tf.math.unsorted_segment_mean(features, labels, n_classes)
        of_support = tf.reduce_sum(of_classes, axis=0) / tf.reduce_sum(present)
        known = tf.convert_to_tensor(self.base_collected) > 0
        return tf.where(known, tf.cast(self.base_mean, features.dtype), of_support)

    def _transformed(self, features, centre):
        """The transformed features [n, F]."""
        return features if self.transform == "UN" else tf.nn.l2_normalize(features - centre, axis=1)
