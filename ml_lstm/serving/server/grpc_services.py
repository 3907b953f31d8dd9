"""TensorFlow Serving's gRPC services, with its own protos."""

import asyncio
import contextlib
from typing import ClassVar, NamedTuple

import grpc
import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import prediction_service_pb2  # noqa: F401  reflection shows what is imported
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from ml_lstm.serving.refusals import Refusal, invalid, shortened
from ml_lstm.serving.server import tensors
from ml_lstm.serving.server.messages import problem_of
from ml_lstm.serving.server.predictor import Predictor
from ml_lstm.serving.server.recorder import Recorder
from ml_lstm.serving.server.store import ModelStore
from ml_lstm.serving.server.version import card_as_proto

_FIELDS = 20_000  # maximum in a message, besides its images and labels


async def grpc_server(store: ModelStore, predictor: Predictor, recorder: Recorder) -> grpc.aio.Server:
    """Creates the server, without a port and not started.

    Args:
        store: the models.
        predictor: answers predict requests.
        recorder: gets a record of every request.
    """
    options = [
        ("grpc.max_receive_message_length", predictor.limits.request_bytes),
        ("grpc.max_send_message_length", -1),
        # Otherwise two servers on one port would share its requests.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options)
    services = {
        "tensorflow.serving.PredictionService": _PredictionService(store, predictor, recorder),
        "tensorflow.serving.ModelService": _ModelService(store, predictor, recorder),
    }
    for name, service in services.items():
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                getattr(service, method),
                _parser(request, _FIELDS + 2 * predictor.limits.images),
                lambda response: response.SerializeToString(),
            )
            for method, request in service.requests.items()
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, handlers)])
    well = health.aio.HealthServicer()
    for name in ("", *services):
        await well.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(well, server)
    reflection.enable_server_reflection([*services, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    return server


class _Malformed(NamedTuple):
    """Stands for a message that is not a valid request."""

    problem: str


def _parser(message, most_fields):
    """A function that parses requests. It returns `_Malformed` for an invalid one; gRPC would log a traceback."""

    def parse(data):
        if problem := problem_of(data, message.DESCRIPTOR, most_fields):
            return _Malformed(f"The message {problem}.")
        try:
            return message.FromString(data)
        except DecodeError:
            return _Malformed(f"The message is not a {message.__name__}.")

    return parse


class _Service:
    """Base class of TensorFlow Serving's services; `requests` are the messages of its methods."""

    requests: ClassVar[dict[str, type]] = {}

    def __init__(self, store, predictor, recorder):
        self._store = store
        self._predictor = predictor
        self._recorder = recorder

    @contextlib.asynccontextmanager
    async def _answering(self, call, request, context):
        """A context in which a `Refusal` becomes the status of the call."""
        with self._recorder.request("gRPC", call, context.peer()) as record:
            try:
                if isinstance(request, _Malformed):
                    raise invalid(request.problem)
                yield record
                record.status = grpc.StatusCode.OK.name
            except Refusal as refusal:
                record.status, record.problem = refusal.code.name, refusal.message
                await context.abort(refusal.code, refusal.message)
            except asyncio.CancelledError:  # the caller has disconnected
                record.status = grpc.StatusCode.CANCELLED.name
                raise
            except Exception:
                logging.exception("While answering %s", call)
                record.status = grpc.StatusCode.INTERNAL.name
                await context.abort(grpc.StatusCode.INTERNAL, "The server failed on this request: see its log.")


class _PredictionService(_Service):
    requests: ClassVar = {"Predict": PredictRequest, "GetModelMetadata": GetModelMetadataRequest}

    async def Predict(self, request, context):
        async with self._answering("Predict", request, context) as record:
            with self._predictor.place():
                return await self._predictor.run(self._predict, request, record, size=request.ByteSize())

    async def GetModelMetadata(self, request, context):
        async with self._answering("GetModelMetadata", request, context):
            asked = set(request.metadata_field)
            if not asked or asked - {"signature_def", "model_card"}:
                raise invalid('metadata_field must be ["signature_def"], ["model_card"] or both.')
            version = self._store.resolve(request.model_spec)
            response = GetModelMetadataResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = version.number
            if "signature_def" in asked:
                response.metadata["signature_def"].Pack(SignatureDefMap(signature_def=version.signature_defs))
            if version.card:  # always, as in REST: TensorFlow Serving's clients can only ask for signature_def
                response.metadata["model_card"].Pack(card_as_proto(version.card))
            return response

    def _predict(self, request, record):
        version = self._predictor.resolve(request.model_spec, record)
        signature, definition = version.signature(request.model_spec.signature_name)
        inputs = tensors.inputs_from_protos(request.inputs, definition, self._predictor.limits.request_bytes)
        outputs = self._predictor.predict(version, signature, inputs, record)
        unknown = sorted(set(request.output_filter) - outputs.keys())
        if unknown:
            raise invalid(
                f"Unknown output {shortened(unknown[0])!r} in output_filter; the model has "
                f"{', '.join(sorted(outputs))}."
            )
        response = PredictResponse(model_spec=ModelSpec(name=request.model_spec.name, signature_name=signature))
        response.model_spec.version.value = version.number
        for name in request.output_filter or outputs:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response


class _ModelService(_Service):
    requests: ClassVar = {"GetModelStatus": GetModelStatusRequest, "HandleReloadConfigRequest": ReloadConfigRequest}

    async def GetModelStatus(self, request, context):
        async with self._answering("GetModelStatus", request, context):
            return self._store.status(request.model_spec)

    async def HandleReloadConfigRequest(self, request, context):
        async with self._answering("HandleReloadConfigRequest", request, context):
            await self._predictor.run(self._store.reconfigure, request.config)
            return ReloadConfigResponse()
