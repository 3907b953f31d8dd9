"""The client for TensorFlow Serving's gRPC API. Its messages import TensorFlow; the extra `grpc` installs both."""

import json
from collections.abc import Sequence

try:
    import grpc
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.struct_pb2 import Struct
    from tensorflow import make_ndarray
    from tensorflow.core.framework.tensor_pb2 import TensorProto
    from tensorflow.core.framework.types_pb2 import DT_STRING
    from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
except ModuleNotFoundError as error:
    raise ImportError(
        f"gRPC needs {error.name}, which is not installed: use REST, or pip install './export/client[grpc]' in the "
        "checkout of ml_lstm."
    ) from error

from ml_lstm_client.client import Client, ServingError, sentence

_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""The codes of TensorFlow Serving's REST API; 500 for the others."""

_LARGEST_MESSAGE = 2**31 - 1


class GrpcClient(Client):
    """A few-shot model behind TensorFlow Serving's gRPC API, without encryption.

    Args:
        address: host and port of the server.
        model: the model's name on the server.
        version: version of the model; by default the server's choice, the newest.
        label: label of a version in the server's configuration, instead of `version`.
        timeout: seconds to wait for an answer, including repeated attempts.

    Raises:
        ValueError: if both `version` and `label` are given, or `timeout` is not positive.
    """

    def __init__(
        self,
        address: str = "localhost:8500",
        model: str = "few_shot",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
    ):
        super().__init__(address, model, version, label, timeout)
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_send_message_length", _LARGEST_MESSAGE),
                ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
                ("grpc.service_config", self._service_config()),
                # A request larger than this buffer is not sent again; the default is 256 KiB.
                ("grpc.per_rpc_retry_buffer_size", _LARGEST_MESSAGE),
            ],
        )
        self._service = PredictionServiceStub(self._channel)

    def _service_config(self):
        retries = {
            "maxAttempts": self._attempts,
            "initialBackoff": f"{self._first_pause_seconds}s",
            "maxBackoff": f"{self._first_pause_seconds * 2**self._attempts}s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["RESOURCE_EXHAUSTED", "UNAVAILABLE"],
        }
        service = {"service": "tensorflow.serving.PredictionService"}
        return json.dumps({"methodConfig": [{"name": [service], "retryPolicy": retries}]})

    def close(self) -> None:
        self._channel.close()

    def _pictures(self, images):
        return _strings(images)

    def _names(self, texts):
        return _strings([text.encode(errors="surrogateescape") for text in texts])

    def _texts(self, names):
        return [name.decode(errors="surrogateescape") for name in names.string_val]

    def _rows(self, probabilities):
        return make_ndarray(probabilities).tolist()

    def _outputs(self, signature, inputs):
        request = PredictRequest(inputs=inputs)
        request.model_spec.signature_name = signature
        return dict(self._answer(self._service.Predict, request).outputs)

    def _told_card(self):
        request = GetModelMetadataRequest(metadata_field=["signature_def"])  # TensorFlow Serving accepts no other
        told, card = self._answer(self._service.GetModelMetadata, request).metadata, Struct()
        return MessageToDict(card) if "model_card" in told and told["model_card"].Unpack(card) else {}

    def _answer(self, method, request):
        request.model_spec.name = self._model
        if self._version is not None:
            request.model_spec.version.value = self._version
        if self._label is not None:
            request.model_spec.version_label = self._label
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code = _HTTP_STATUS.get(error.code(), 500)
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in (error.details() or ""):
                code = 413
            raise ServingError(self._message(error), code) from None

    def _message(self, error):
        said = sentence(error.details() or error.code().name)
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return f"{self._where} is not available ({said}): check the address, and that the server runs."
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"{self._where} did not answer within {self._timeout:g} s: send fewer images, or wait longer."
            case grpc.StatusCode.UNIMPLEMENTED:
                return f"{self._where} does not answer like TensorFlow Serving ({said}): check the address."
        return said


def _strings(contents: Sequence[bytes]) -> TensorProto:
    """A string tensor [n]."""
    tensor = TensorProto(dtype=DT_STRING, string_val=contents)
    tensor.tensor_shape.dim.add(size=len(contents))
    return tensor
