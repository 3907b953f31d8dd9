"""One version of a model in memory: its inputs, and running it."""

import functools
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import tensorflow as tf
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from ml_lstm.serving.refusals import invalid, refusal_by, shortened
from ml_lstm.serving.server.cancellation import go_on
from ml_lstm.serving.server.json_tensors import Input

_DEFAULT_SIGNATURE = "serving_default"


class Version:
    """A SavedModel, loaded and warmed up. Its methods may be called from several threads at once.

    Args:
        directory: `BASE_PATH/<number>`.

    Raises:
        Exception: of any kind, if TensorFlow cannot load it.

    Attributes:
        number: number of the version.
        signature_defs: TensorFlow's description of its signatures, by name.
        card: the model card, in a form that both protocols can send; empty if it is missing or damaged.
    """

    def __init__(self, directory: Path):
        self.number = int(directory.name)
        saved_model = SavedModel.FromString((directory / "saved_model.pb").read_bytes())
        self.signature_defs = dict(saved_model.meta_graphs[0].signature_def)
        self.card = card_of(directory / "assets.extra" / "model_card.json")
        # Kept, because signatures hold only weak references to the weights.
        self._model = tf.saved_model.load(str(directory))
        self._warm_up(directory / "assets.extra" / "tf_serving_warmup_requests")

    def signature(self, name: str) -> tuple[str, SignatureDef]:
        """The full name and the definition of a signature.

        Args:
            name: the caller's name; empty for the default.

        Raises:
            Refusal: if the signature does not exist.
        """
        name = name or _DEFAULT_SIGNATURE
        if name not in self._model.signatures:
            raise invalid(
                f"Unknown signature {shortened(name)!r}; the model has {', '.join(sorted(self._model.signatures))}."
            )
        return name, self.signature_defs[name]

    @functools.cached_property
    def inputs(self) -> dict[str, dict[str, Input]]:
        """The inputs of each signature, by name, for reading JSON; the default signature also has the empty name."""
        inputs = {
            name: {
                key: Input(tf.as_dtype(info.dtype).name, len(info.tensor_shape.dim))
                for key, info in self.signature_defs[name].inputs.items()
            }
            for name in self._model.signatures
        }
        return inputs | ({"": inputs[_DEFAULT_SIGNATURE]} if _DEFAULT_SIGNATURE in inputs else {})

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answers a request.

        Args:
            signature: full name of the signature.
            inputs: inputs of the signature, by name; strings as arrays of `bytes` objects.

        Returns:
            The outputs, by name.

        Raises:
            Refusal: if the inputs do not fit the signature, or the model rejects them.
        """
        expected = self.signature_defs[signature].inputs
        tensors = {name: _tensor(name, expected[name], array) for name, array in inputs.items()}
        try:
            outputs = self._model.signatures[signature](**tensors)
        except tf.errors.OpError as error:
            refusal = refusal_by(error)
            if refusal.code == grpc.StatusCode.INVALID_ARGUMENT and "the image at index" not in refusal.message:
                go_on()
                self._blame_unreadable(signature, tensors)
            raise refusal from None
        return {name: output.numpy() for name, output in outputs.items()}

    def _blame_unreadable(self, signature, tensors):
        """Raises an error with the index of a damaged image, if there is one: TensorFlow's decoders do not give it."""
        if not signature.endswith("_encoded") or "check_encoded" not in self._model.signatures:  # as in older exports
            return
        for name in sorted(tensors, reverse=True):  # the support set is read first
            if not name.endswith("_images"):
                continue
            try:
                unreadable = self._model.signatures["check_encoded"](query_images=tensors[name])["unreadable"].numpy()
            except tf.errors.InvalidArgumentError:  # too many pixels in total: then that was the problem
                go_on()
                continue
            except tf.errors.CancelledError as error:
                raise refusal_by(error) from None
            if len(unreadable):
                raise invalid(f"{name}: the image at index {unreadable[0]} is damaged: save it again, or leave it out.")

    def _warm_up(self, path):
        if not path.exists():
            return
        for record in tf.data.TFRecordDataset(str(path)):
            request = PredictionLog.FromString(record.numpy()).predict_log.request
            inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
            self.run(request.model_spec.signature_name, inputs)


def card_of(path: Path) -> dict[str, Any]:
    """The contents of a model card; empty if it is damaged, which must not prevent serving the model."""
    try:
        card = orjson.loads(path.read_bytes())
        card_as_proto(card)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, DecodeError):
        return {}
    return card


def card_as_proto(card: dict[str, Any]) -> Struct:
    """A model card as a proto for gRPC, in which numbers are doubles.

    Raises:
        TypeError, AttributeError: if the card is not a JSON object.
        DecodeError: if it is nested more deeply than receivers can read.
    """
    proto = Struct()
    proto.update(card)
    return Struct.FromString(proto.SerializeToString())


def _tensor(name: str, expected: TensorInfo, array: np.ndarray) -> tf.Tensor:
    dtype, shape = tf.as_dtype(expected.dtype), tf.TensorShape(expected.tensor_shape)
    got = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    if got != dtype or not shape.is_compatible_with(array.shape):
        raise invalid(f"{name} must be {dtype.name} {_text(shape)}; got {got.name} {_text(array.shape)}.")
    return tf.constant(array, dtype)


def _text(shape):
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
