"""Nearest neighbour among learned features (Baseline-nearest-neighbor of Ravi & Larochelle, ICLR 2017, section 5.1).

A network is trained to classify all meta-train classes jointly. For an episode it embeds the support set, with the
input of its last layer as features, and a query belongs to the class of the nearest support example. The paper
does not name the distance; this module uses the cosine, like the authors' released code.
"""

import keras
import tensorflow as tf

from ml_lstm.learners import LearnerState
from ml_lstm.methods.base import Adaptation, Statistics
from ml_lstm.methods.families.joint_training import NormalizedByEpisode
from ml_lstm.methods.families.nearest_example import nearest_example_logits


@keras.saving.register_keras_serializable("ml_lstm")
class NearestNeighbour(NormalizedByEpisode):
    """Gives a query the class of the support example whose features have the largest cosine with its own.

    Batch norm normalises both the support set and queries by the support set's statistics.

    Args:
        learner, problem, **options: see `NormalizedByEpisode`.
    """

    @property
    def most_classes(self) -> None:
        """See `FewShotClassifier.most_classes`."""
        return None

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Embeds the support set; see `FewShotClassifier.adapt`."""
        images = self.normalize(support_images)
        features, statistics = self._network(self._network.initial_state(), images, training=True)
        return {
            "features": features,
            "labels": self.support_classes(support_labels),
            "statistics": self._network.pack_statistics(statistics),
        }

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Compares queries with the support set; see `FewShotClassifier.classify`."""
        statistics = self._network.unpack_statistics(adaptation["statistics"])
        state = LearnerState(self._network.initial_state().parameters, statistics)
        by_queries = query_statistics == "queries"
        features, _ = self._network(state, self.normalize(query_images), training=by_queries)
        return nearest_example_logits(features, adaptation["features"], adaptation["labels"])
