"""What can be asked of a served few-shot model, whatever carries the requests."""

import abc
import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from ml_lstm_client import photographs

_DESCRIBED = ("method", "image_shape", "most_classes", "train_episodes", "limits")
_NOT_THERE = (400, 404, 501)  # what servers say of a signature that a model does not have
_TOO_LARGE = 413
_LEAST_SIDE = 16  # of any model's images


class _Answer(NamedTuple):
    prediction: str
    probabilities: dict[str, float]


class Answer(_Answer):
    """What the model says of a picture: `(prediction, probabilities)`, and how familiar it is.

    Attributes:
        prediction: the most probable class.
        probabilities: by class, in the order of the export's `classes`: sorted, or, of an export of an older version,
            as the support set named them first.
        familiarity: the share of pictures of known classes that look no less strange to the model, in (0, 1]: of a
            picture of something else it is small. None of a model that was not calibrated.
    """

    familiarity: float | None

    def __new__(cls, prediction: str, probabilities: dict[str, float], familiarity: float | None = None) -> Self:
        answer = super().__new__(cls, prediction, probabilities)
        answer.familiarity = familiarity
        return answer


class ServingError(Exception):
    """A request without an answer.

    Attributes:
        message: one line, in the server's own words where it has some.
        code: HTTP status, over gRPC the one that TensorFlow Serving's REST API has for the same trouble: 400 for
            a bad request, 413 for one that is too large, 429 or 503 for a server with too much to do, 503 also where
            nobody answers, 504 for no answer in time. None for an answer that is no few-shot model's.
    """

    def __init__(self, message: str, code: int | None):
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self):
        return self.message


class Client(abc.ABC):
    """A few-shot model at a server; what leaves with the context is its connections.

    Requests change nothing at the server. One that is turned away by a server with too much to do (429, 503) is
    sent again, 5 times in all, with pauses that grow. Pictures far larger than the model's are turned and shrunk
    before they are sent, see `fitted`.

    Shapes: S support pictures, Q queries, K classes.

    Args:
        where: the server's address, for messages.
        model: its name there.
        version: of the model; by default the server's choice, the newest.
        label: of a version, as the server's configuration gives it, instead of `version`.
        timeout: seconds.

    Raises:
        ValueError: for both `version` and `label`, or a `timeout` that is not positive.
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
        self._sizes = []  # of the pictures sent last, for messages

    def adapt_and_predict(
        self, support_images: Sequence[bytes], support_labels: Sequence[str], query_images: Sequence[bytes]
    ) -> list[Answer]:
        """Learns classes from pictures and classifies others, in one request.

        Args:
            support_images: S picture files: JPEG, PNG, BMP or GIF, of any size.
            support_labels: the class of each.
            query_images: Q picture files.

        Returns:
            Q answers.

        Raises:
            ServingError: if the server refuses, for one the picture that it cannot read, or does not answer.
        """
        outputs = self._ask(
            "adapt_and_predict_encoded",
            self._support(support_images, support_labels) | self._queries(query_images),
            ("classes", "probabilities", "predictions"),
        )
        return self._answers(outputs["classes"], outputs)

    def adapt(self, support_images: Sequence[bytes], support_labels: Sequence[str]) -> Mapping[str, Any]:
        """Learns classes from pictures.

        Args:
            support_images: S picture files: JPEG, PNG, BMP or GIF, of any size.
            support_labels: the class of each.

        Returns:
            What `predict` of this kind of client needs, as often as one likes. It means something to the version
            of the model that made it only: once the server has gone on to a newer one, adapt again, or name a
            version from the start.

        Raises:
            ServingError: if the server refuses, for one the picture that it cannot read, or does not answer.
        """
        return self._ask("adapt_encoded", self._support(support_images, support_labels), ("classes",))

    def predict(self, adaptation: Mapping[str, Any], query_images: Sequence[bytes]) -> list[Answer]:
        """Classifies pictures, each on its own.

        Args:
            adaptation: what `adapt` returned.
            query_images: Q picture files.

        Returns:
            Q answers.

        Raises:
            ServingError: if the server refuses, for one the picture that it cannot read, or does not answer.
        """
        inputs = {**adaptation, **self._queries(query_images)}
        return self._answers(
            adaptation["classes"], self._ask("predict_encoded", inputs, ("probabilities", "predictions"))
        )

    @functools.cached_property
    def description(self) -> Mapping[str, Any]:
        """What the model card says: method, image_shape, most_classes, train_episodes, and limits, the sentences that
        whoever uses the model should know. Empty for a model that was exported by an older version.

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
        """All that the model card says, where the server tells it with its metadata, as `ml_lstm.serve` does by either
        protocol; else `description`.

        Raises:
            ServingError: if the server does not answer.
        """
        return self._told_card() or self.description

    def fitted(self, image: bytes) -> bytes:
        """A picture as it is sent: turned as its EXIF data say and shrunk, if it is far larger than the model's.

        Raises:
            ServingError: see `description`.
        """
        if photographs.shorter_edge(image) < 4 * _LEAST_SIDE or "image_shape" not in self.description:
            return image
        return photographs.fitted(image, max(self.description["image_shape"][:2]))

    def unreadable(self, images: Sequence[bytes]) -> list[int] | None:
        """Which pictures the model cannot read.

        Args:
            images: picture files.

        Returns:
            Their indices; None from a model that cannot tell, as it was exported by an older version.

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
        """The outputs of a signature, `wanted` among them."""
        try:
            outputs = self._outputs(signature, inputs)
        except ServingError as error:
            if error.code == _TOO_LARGE and self._sizes:
                raise self._too_large(error) from None
            raise
        if not all(name in outputs for name in wanted):
            raise self._no_few_shot_model()
        if "classes" in outputs:
            # They may have come in another form than they are to go back in.
            outputs["classes"] = self._names(self._checked_texts(outputs["classes"]))
        return outputs

    def _too_large(self, refusal):
        number, total, largest = len(self._sizes), sum(self._sizes), max(self._sizes)
        how = "send fewer pictures at once, or smaller ones" if number > 1 else "shrink it"
        said = re.split(r"\.(?: (?=[A-Z])|$)", refusal.message)[0]  # what is to be done comes next, in general words
        return ServingError(
            f"{self._where}: the request is too large, with {number} picture(s) of {total / 1e6:.1f} MB in all, the "
            f"largest of {largest / 1e6:.1f} MB: {how}, or let the server take more ({said}).",
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
            told = "familiarity" in outputs  # by a calibrated model
            familiar = self._rows(outputs["familiarity"]) if told else [None] * len(rows)
            return [Answer(*answer) for answer in zip(predictions, rows, familiar, strict=True)]
        except (TypeError, ValueError):
            raise self._no_few_shot_model() from None

    def _no_few_shot_model(self):
        return ServingError(
            f"{self._where}: the model {self._model} does not answer as a few-shot model does: "
            "name one that ml_lstm exported.",
            None,
        )

    @abc.abstractmethod
    def _pictures(self, images: Sequence[bytes]) -> Any:
        """[n] as it is sent."""

    @abc.abstractmethod
    def _names(self, texts: Sequence[str]) -> Any:
        """[n] as it is sent."""

    @abc.abstractmethod
    def _texts(self, names: Any) -> list[str]:
        """[n] as it was received."""

    @abc.abstractmethod
    def _rows(self, probabilities: Any) -> list[list[float]]:
        """[Q, K] as they were received."""

    @abc.abstractmethod
    def _told_card(self) -> dict[str, Any]:
        """The model card among the metadata; empty where it is not."""

    @abc.abstractmethod
    def _outputs(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Sends what `_pictures` and `_names` made, or what was received, and receives."""


def sentence(message: str) -> str:
    """What a server says went wrong, without where in the graph and where an assertion's data begin and end."""
    # "2 root error(s) found.\n  (0) ..." names the first of them next.
    line = message.split("\n\t [[")[0].splitlines()[-1] if "\n\t [[" in message else message
    line = re.sub(r"\{\{.*?\}\}|^\s*\(0\) [\w ]+: ", "", line)
    before, assertion, data = line.partition("assertion failed: ")
    if assertion:
        line = before + re.sub(r"[\[\]]", "", data)
    return " ".join(line.split())
