"""The base class of the clients: the requests to a served few-shot model, independent of the protocol."""

import abc
import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from ml_lstm_client import photographs

_DESCRIBED = ("method", "image_shape", "most_classes", "train_episodes", "limits")
_NOT_THERE = (400, 404, 501)  # servers' codes for a signature that a model does not have
_TOO_LARGE = 413
_LEAST_SIDE = 16  # the smallest image size of any model


class _Answer(NamedTuple):
    prediction: str
    probabilities: dict[str, float]


class Answer(_Answer):
    """The model's answer for an image: `(prediction, probabilities)`, and the attribute `familiarity`.

    Attributes:
        prediction: the most probable class.
        probabilities: by class, in the order of the export's `classes`: sorted or, for an export of an older version,
            in the order of first occurrence in the support set.
        familiarity: the fraction of images of known classes that look at least as unusual to the model, in (0, 1]. It
            is small for an image of something else. None for a model without calibration.
    """

    familiarity: float | None

    def __new__(cls, prediction: str, probabilities: dict[str, float], familiarity: float | None = None) -> Self:
        answer = super().__new__(cls, prediction, probabilities)
        answer.familiarity = familiarity
        return answer


class ServingError(Exception):
    """A failed request.

    Attributes:
        message: one line; the server's own message if it sent one.
        code: HTTP status. Over gRPC, the status that TensorFlow Serving's REST API has for the same problem: 400 for
            an invalid request, 413 for one that is too large, 429 or 503 for an overloaded server, 503 also for a
            server that cannot be reached, 504 for no answer in time. None for an answer that is not from a few-shot
            model.
    """

    def __init__(self, message: str, code: int | None):
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self):
        return self.message


class Client(abc.ABC):
    """A client of a few-shot model on a server. As a context manager, it closes its connections at the end.

    Requests do not change anything on the server. If an overloaded server rejects a request (429, 503), the client
    sends it again, up to 5 times in total, with growing pauses. Images far larger than the model's are rotated and
    shrunk before they are sent, see `fitted`.

    Shapes: S support images, Q queries, K classes.

    Args:
        where: the server's address, for messages.
        model: the model's name on the server.
        version: version of the model; by default the server's choice, the newest.
        label: label of a version in the server's configuration, instead of `version`.
        timeout: seconds.

    Raises:
        ValueError: if both `version` and `label` are given, or `timeout` is not positive.
    """

    _attempts = 5
    _first_pause_seconds = 0.2

    def __init__(self, where: str, model: str, version: int | None, label: str | None, timeout: float):
        if version is not None and label is not None:
            raise ValueError(f"Give version or label, not both; got version={version!r}, label={label!r}.")
        if not timeout > 0:
            raise ValueError(f"timeout must be positive, in seconds; got {timeout!r}.")
        self._where, self._model, self._version, self._label = where, model, version, label
        self._timeout = timeout
        self._sizes = []  # of the last images sent, for messages

    def adapt_and_predict(
        self, support_images: Sequence[bytes], support_labels: Sequence[str], query_images: Sequence[bytes]
    ) -> list[Answer]:
        """Learns classes from images and classifies others, in one request.

        Args:
            support_images: S image files: JPEG, PNG, BMP or GIF, of any size.
            support_labels: the class of each.
            query_images: Q image files.

        Returns:
            Q answers.

        Raises:
            ServingError: if the server rejects the request, for example because of an unreadable image, or does not
                answer.
        """
        outputs = self._ask(
            "adapt_and_predict_encoded",
            self._support(support_images, support_labels) | self._queries(query_images),
            ("classes", "probabilities", "predictions"),
        )
        return self._answers(outputs["classes"], outputs)

    def adapt(self, support_images: Sequence[bytes], support_labels: Sequence[str]) -> Mapping[str, Any]:
        """Learns classes from images.

        Args:
            support_images: S image files: JPEG, PNG, BMP or GIF, of any size.
            support_labels: the class of each.

        Returns:
            An adaptation for `predict` of the same kind of client, for any number of calls. It is valid only for the
            version of the model that made it: when the server has loaded a newer version, adapt again, or give a
            version from the start.

        Raises:
            ServingError: if the server rejects the request, for example because of an unreadable image, or does not
                answer.
        """
        return self._ask("adapt_encoded", self._support(support_images, support_labels), ("classes",))

    def predict(self, adaptation: Mapping[str, Any], query_images: Sequence[bytes]) -> list[Answer]:
        """Classifies images, each independently.

        Args:
            adaptation: result of `adapt`.
            query_images: Q image files.

        Returns:
            Q answers.

        Raises:
            ServingError: if the server rejects the request, for example because of an unreadable image, or does not
                answer.
        """
        inputs = {**adaptation, **self._queries(query_images)}
        return self._answers(
            adaptation["classes"], self._ask("predict_encoded", inputs, ("probabilities", "predictions"))
        )

    @functools.cached_property
    def description(self) -> Mapping[str, Any]:
        """Fields of the model card: method, image_shape, most_classes, train_episodes, and limits.

        The limits are sentences that every user of the model should read. The description is empty for a model that an
        older version exported.

        Raises:
            ServingError: if the server does not answer.
        """
        try:
            outputs = self._ask("describe", {"fields": self._names(_DESCRIBED)}, ("fields", "values"))
        except ServingError as error:
            if error.code in _NOT_THERE:
                return {}
            raise
        try:
            fields, values = self._checked_texts(outputs["fields"]), self._checked_texts(outputs["values"])
            told = dict(zip(fields, map(json.loads, values), strict=True))
        except ValueError:
            raise self._no_few_shot_model() from None
        return {field: value for field, value in told.items() if value is not None}

    @functools.cached_property
    def model_card(self) -> Mapping[str, Any]:
        """The complete model card, if the server sends it with its metadata; otherwise `description`.

        `ml_lstm.serve` sends it over both protocols.

        Raises:
            ServingError: if the server does not answer.
        """
        return self._told_card() or self.description

    def fitted(self, image: bytes) -> bytes:
        """Prepares an image for sending: if it is far larger than the model's, rotates it by EXIF data and shrinks it.

        Raises:
            ServingError: see `description`.
        """
        if photographs.shorter_edge(image) < 4 * _LEAST_SIDE or "image_shape" not in self.description:
            return image
        return photographs.fitted(image, max(self.description["image_shape"][:2]))

    def unreadable(self, images: Sequence[bytes]) -> list[int] | None:
        """Finds the images that the model cannot read.

        Args:
            images: image files.

        Returns:
            Their indices; None if the model does not support this, because an older version exported it.

        Raises:
            ServingError: if the server does not answer.
        """
        try:
            outputs = self._ask("check_encoded", self._queries(images), ("unreadable",))
        except ServingError as error:
            if error.code in _NOT_THERE:
                return None
            raise
        return [int(index) for index in self._rows(outputs["unreadable"])]

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_):
        self.close()

    def _support(self, images, labels):
        return {"support_images": self._sent(images), "support_labels": self._names(labels)}

    def _queries(self, images):
        return {"query_images": self._sent(images)}

    def _sent(self, images):
        images = [self.fitted(image) for image in images]
        self._sizes = [len(image) for image in images]
        return self._pictures(images)

    def _ask(self, signature, inputs, wanted):
        """The outputs of a signature; checks that they include `wanted`."""
        try:
            outputs = self._outputs(signature, inputs)
        except ServingError as error:
            if error.code == _TOO_LARGE and self._sizes:
                raise self._too_large(error) from None
            raise
        if not all(name in outputs for name in wanted):
            raise self._no_few_shot_model()
        if "classes" in outputs:
            # Their received form may differ from the form in which they must be sent.
            outputs["classes"] = self._names(self._checked_texts(outputs["classes"]))
        return outputs

    def _too_large(self, refusal):
        number, total, largest = len(self._sizes), sum(self._sizes), max(self._sizes)
        how = "send fewer images at once, or smaller ones" if number > 1 else "shrink it"
        said = re.split(r"\.(?: (?=[A-Z])|$)", refusal.message)[0]  # without the server's general advice
        return ServingError(
            f"{self._where}: the request is too large, with {number} image(s) of {total / 1e6:.1f} MB in total, the "
            f"largest of {largest / 1e6:.1f} MB: {how}, or raise the server's limit ({said}).",
            refusal.code,
        )

    def _checked_texts(self, names):
        try:
            texts = self._texts(names)
        except (TypeError, ValueError, KeyError):
            raise self._no_few_shot_model() from None
        if not all(isinstance(text, str) for text in texts):
            raise self._no_few_shot_model()
        return texts

    def _answers(self, classes, outputs):
        classes, predictions = self._texts(classes), self._checked_texts(outputs["predictions"])
        try:
            rows = [dict(zip(classes, row, strict=True)) for row in self._rows(outputs["probabilities"])]
            told = "familiarity" in outputs  # from a calibrated model
            familiar = self._rows(outputs["familiarity"]) if told else [None] * len(rows)
            return [Answer(*answer) for answer in zip(predictions, rows, familiar, strict=True)]
        except (TypeError, ValueError):
            raise self._no_few_shot_model() from None

    def _no_few_shot_model(self):
        return ServingError(
            f"{self._where}: the model {self._model} does not answer like a few-shot model: "
            "give a model that ml_lstm exported.",
            None,
        )

    @abc.abstractmethod
    def _pictures(self, images: Sequence[bytes]) -> Any:
        """Converts images [n] to the form in which they are sent."""

    @abc.abstractmethod
    def _names(self, texts: Sequence[str]) -> Any:
        """Converts class names [n] to the form in which they are sent."""

    @abc.abstractmethod
    def _texts(self, names: Any) -> list[str]:
        """Converts class names [n] from the form in which they were received."""

    @abc.abstractmethod
    def _rows(self, probabilities: Any) -> list[list[float]]:
        """Converts numbers [Q, K] from the form in which they were received."""

    @abc.abstractmethod
    def _told_card(self) -> dict[str, Any]:
        """The model card from the metadata; empty if it is not there."""

    @abc.abstractmethod
    def _outputs(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Sends inputs, which are results of `_pictures` and `_names` or received values, and returns the outputs."""


def sentence(message: str) -> str:
    """A server's error message, without TensorFlow's notes on the graph and on an assertion's data."""
    # After "2 root error(s) found.\n  (0) ..." comes the first of them.
    line = message.split("\n\t [[")[0].splitlines()[-1] if "\n\t [[" in message else message
    line = re.sub(r"\{\{.*?\}\}|^\s*\(0\) [\w ]+: ", "", line)
    before, assertion, data = line.partition("assertion failed: ")
    if assertion:
        line = before + re.sub(r"[\[\]]", "", data)
    return " ".join(line.split())
