"""A model of the zoo that learns from image files directly, without an export."""

import tensorflow as tf

from ml_lstm.methods import without_xla
from ml_lstm.serving.answers import Answers
from ml_lstm.serving.exported import PictureClassifier
from ml_lstm.zoo.entries import find


def picture_classifier(name: str) -> PictureClassifier:
    """A model of the zoo in the form in which `adapt` takes an export, and with the same answers.

    Nothing is traced: tracing the decoders alone takes longer than calling them for some dozens of images.

    Args:
        name: see `ml_lstm.zoo.load`.

    Raises:
        UserError: like `ml_lstm.zoo.load`.
    """
    entry = find(name)
    answers = Answers(entry.method(), entry.run.problem().image_shape)

    def adapt(support_images: tf.Tensor, support_labels: tf.Tensor):
        with without_xla():  # as in an export
            return answers.adapt(answers.decoded(support_images, "support_images"), support_labels)

    def predict(query_images: tf.Tensor, **adaptation: tf.Tensor):
        return answers.predict(adaptation, answers.decoded(query_images, "query_images"))

    return PictureClassifier(adapt, predict, entry.card)
