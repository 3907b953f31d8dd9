"""A classifier for use from Python: takes image files, returns answers, with any method inside."""

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from ml_lstm import photographs
from ml_lstm.errors import UserError, sentence
from ml_lstm.paths import for_tensorflow

Tensors = dict[str, tf.Tensor]

_FIELDS = ("image_shape", "limits", "method", "train_episodes", "flags", "commit")


class Answer(NamedTuple):
    """The model's answer for an image.

    Attributes:
        prediction: the most probable class.
        probabilities: by class, in the order of `classes`: sorted or, for an export of an older version, in the order
            of first occurrence in the support set.
        familiarity: the fraction of images of known classes that look at least as unusual, in (0, 1]. It is small for
            an image of something else. None for a model without calibration.
    """

    prediction: str
    probabilities: dict[str, float]
    familiarity: float | None = None


class NoPictureError(ValueError):
    """The model cannot read some bytes as an image; the message says why."""


class PictureClassifier:
    """Learns classes from image files and classifies other image files.

    Args:
        adapt: function from `support_images` string [S] and `support_labels` string [S] to an adaptation, which
            includes `classes` string [K].
        predict: function from an adaptation and `query_images` string [Q] to `probabilities` float32 [Q, K] and
            `predictions` string [Q].
        card: fields of the model card: `image_shape`, `limits`, and how the model was trained.
    """

    def __init__(self, adapt: Callable[..., Tensors], predict: Callable[..., Tensors], card: Mapping[str, Any]):
        self._adapt = adapt
        self._predict = predict
        self.card = dict(card)

    def fitted(self, contents: bytes) -> bytes:
        """Rotates and shrinks an image file for the model, see `photographs.fitted`."""
        shape = self.card.get("image_shape")
        return photographs.fitted(contents, max(shape[:2])) if shape else contents

    def require_picture(self, contents: bytes) -> None:
        """Checks that the model can read an image; it costs as much as classifying the image.

        Raises:
            NoPictureError: if it cannot.
        """
        self.classify(self._of_a_blank, contents)

    @functools.cached_property
    def _of_a_blank(self):
        """An adaptation to a blank image, used only to call `classify`."""
        blank = tf.io.encode_png(tf.zeros([1, 1, 1], tf.uint8))
        return self.adapt([blank.numpy()], [""])

    def adapt(self, contents: list[bytes], labels: list[str]) -> Tensors:
        """Learns classes from images.

        Args:
            contents: S image files.
            labels: the class of each.

        Returns:
            The adaptation, for `classify`.

        Raises:
            UserError: if there are more classes than the model can distinguish.
        """
        names = [label.encode(errors="surrogateescape") for label in labels]
        try:
            return self._adapt(support_images=tf.constant(contents), support_labels=tf.constant(names))
        except tf.errors.InvalidArgumentError as error:
            raise UserError(sentence(error)) from None

    def classify(self, adaptation: Tensors, contents: bytes) -> Answer:
        """Classifies an image.

        Args:
            adaptation: result of `adapt`.
            contents: an image file.

        Raises:
            NoPictureError: if the model cannot read the image.
        """
        try:
            outputs = self._predict(**adaptation, query_images=tf.constant([contents]))
        except tf.errors.InvalidArgumentError as error:
            raise NoPictureError(sentence(error).removeprefix("query_images: the image at index 0 ")) from None
        classes = [_text(name) for name in adaptation["classes"].numpy()]
        probabilities = dict(zip(classes, outputs["probabilities"].numpy()[0].tolist(), strict=True))
        familiarity = float(outputs["familiarity"][0]) if "familiarity" in outputs else None
        return Answer(_text(outputs["predictions"].numpy()[0]), probabilities, familiarity)


class ExportedClassifier(PictureClassifier):
    """Adapts and classifies with the `_encoded` signatures of a version that `export_version` wrote.

    Args:
        path: the version's directory.

    Raises:
        UserError: if the directory is not such a version, or is damaged.
    """

    def __init__(self, path: str):
        directory = for_tensorflow(path)
        if not (directory / "saved_model.pb").is_file():
            versions = [int(entry.name) for entry in directory.glob("[0-9]*") if re.fullmatch("[0-9]+", entry.name)]
            hint = f"give a version, {directory / str(max(versions))}" if versions else "check --saved_model"
            raise UserError(f"{directory} is not a SavedModel (no saved_model.pb): {hint}.")
        try:
            # Kept, because signatures hold only weak references to the weights.
            self._model = tf.saved_model.load(str(directory))
        except (OSError, ValueError, tf.errors.OpError):
            raise UserError(f"{directory} is damaged: export the model again.") from None
        try:
            signatures = self._model.signatures
            adapt, predict = signatures["adapt_encoded"], signatures["predict_encoded"]
        except (AttributeError, KeyError):
            raise UserError(
                f"{directory} was not exported by ml_lstm (no signature adapt_encoded): check --saved_model."
            ) from None
        super().__init__(adapt, predict, _card(signatures))


def _card(signatures):
    """The fields of the export's model card; empty for an export of an older version."""
    if "describe" not in signatures:
        return {}
    described = signatures["describe"](fields=tf.constant(_FIELDS))
    values = {
        field.decode(): json.loads(value)
        for field, value in zip(described["fields"].numpy(), described["values"].numpy(), strict=True)
    }
    return {field: value for field, value in values.items() if value is not None}


def _text(name):
    return name.decode(errors="surrogateescape")
