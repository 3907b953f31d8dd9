"""Nearest neighbour among the pixels themselves: a baseline without any learning.

The baseline "Pixels, cosine" of Vinyals et al., *Matching Networks for One Shot Learning*, NIPS 2016, which
later papers cite as pixel kNN: 41.7 % on Omniglot 5-way 1-shot, 26.7 % on 20-way.
"""

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.methods.base import Adaptation, FewShotClassifier, Statistics
from ml_lstm.methods.families.nearest_example import nearest_example_logits


@keras.saving.register_keras_serializable("ml_lstm")
class PixelNearestNeighbour(FewShotClassifier):
    """Gives a query the class of the support example whose pixels have the largest cosine with its own.

    There is nothing to train.

    Args:
        problem: see `FewShotClassifier`.
        centred_pixels: whether the mean of meta-training is subtracted from pixels, so that the blank paper around two
            characters does not make them similar. Otherwise the pixels are used unchanged, which probably matches the
            published figure.
    """

    trains = False
    unused_options = frozenset({"train_k_shot", "train_n_query", "augment"})

    def __init__(self, problem: Problem, *, centred_pixels: bool = False, **kwargs):
        super().__init__(problem, **kwargs)
        self.centred_pixels = centred_pixels
        self.built = True

    @property
    def most_classes(self) -> None:
        """See `FewShotClassifier.most_classes`."""
        return None

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Keeps the support set; see `FewShotClassifier.adapt`."""
        return {"pixels": self._pixels(support_images), "labels": self.support_classes(support_labels)}

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Compares queries with the support set; see `FewShotClassifier.classify`."""
        queries = self._pixels(query_images)
        return nearest_example_logits(queries, adaptation["pixels"], adaptation["labels"])

    def _pixels(self, images):
        images = self.normalize(images) if self.centred_pixels else self.as_float(images)
        return tf.reshape(images, [tf.shape(images)[0], images.shape[1:].num_elements()])
