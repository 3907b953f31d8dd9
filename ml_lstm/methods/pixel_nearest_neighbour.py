"""Nearest neighbour among the pixels themselves: what can be had without any learning.

The baseline "Pixels, cosine" of Vinyals et al., *Matching Networks for One Shot Learning*, NIPS 2016, which
later papers cite as pixel kNN: 41.7 % on Omniglot 5-way 1-shot, 26.7 % on 20-way.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.families.nearest_example import nearest_example_logits


@keras.saving.register_keras_serializable("ml_lstm")
class PixelNearestNeighbour(FewShotClassifier):
    """Gives a query the class of the support example whose pixels make the smallest angle with its own.

    There is nothing to train. The defaults leave pixels as they are, which is plausibly what the published figure is
    of; with `image_mean` taken from the pixels, the empty paper around two characters does not make them alike.

    Args:
        n_way: see `FewShotClassifier`.
        image_mean: see `FewShotClassifier`.
        image_std: see `FewShotClassifier`.
    """

    trains_on = None

    def __init__(self, n_way: int, image_mean=0.0, image_std=1.0, **kwargs):
        super().__init__(n_way, image_mean, image_std, **kwargs)
        self.built = True

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], image_shape: tuple[int, int, int], **normalization):
        """As the published baseline, without `normalization`; see `FewShotClassifier.from_flags`."""
        return cls(max(flags["n_way"], flags["train_n_way"]))

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Keeps the support set; see `FewShotClassifier.adapt`."""
        return {"pixels": self._pixels(support_images), "labels": tf.cast(support_labels, tf.int32)}

    def classify(self, adaptation: Adaptation, query_images, training: bool = False) -> tf.Tensor:
        """Compares queries with the support set; see `FewShotClassifier.classify`."""
        queries = self._pixels(query_images)
        return nearest_example_logits(queries, adaptation["pixels"], adaptation["labels"], self.n_way)

    def _pixels(self, images):
        images = self.normalize(images)
        return tf.reshape(images, [tf.shape(images)[0], images.shape[1:].num_elements()])

    def get_config(self):
        names = ("n_way", "image_mean", "image_std")
        return super().get_config() | {name: getattr(self, name) for name in names}
