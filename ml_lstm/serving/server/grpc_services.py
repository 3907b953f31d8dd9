"""TensorFlow Serving's gRPC services, by its own protos."""

import asyncio
import contextlib

import grpc
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataResponse, SignatureDefMap
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigResponse
from tensorflow_serving.apis.predict_pb2 import PredictResponse

from ml_lstm.serving.refusals import Refusal, invalid
from ml_lstm.serving.server import tensors
from ml_lstm.serving.server.predictor import Predictor
from ml_lstm.serving.server.recorder import Recorder
from ml_lstm.serving.server.store import ModelStore


def grpc_server(store: ModelStore, predictor: Predictor, recorder: Recorder) -> grpc.aio.Server:
    """The server, without a port; not started.

    Args:
        store: the models.
        predictor: answers predict requests.
        recorder: gets a record of every request.
    """
    options = [
        ("grpc.max_receive_message_length", predictor.limits.request_bytes),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port would share its requests.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionService(store, predictor, recorder), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(store, predictor, recorder), server)
    return server


class _Service:
    def __init__(self, store, predictor, recorder):
        self._store = store
        self._predictor = predictor
        self._recorder = recorder

    @contextlib.asynccontextmanager
    async def _answering(self, call, context):
        """Within it a refusal becomes the status of the call."""
        with self._recorder.request("gRPC", call, context.peer()) as record:
            try:
                yield record
                record.status = grpc.StatusCode.OK.name
            except Refusal as refusal:
                record.status, record.problem = refusal.code.name, refusal.message
                await context.abort(refusal.code, refusal.message)
            except asyncio.CancelledError:  # the caller waits no longer
                record.status = grpc.StatusCode.CANCELLED.name
                raise
            except Exception:
                logging.exception("While answering %s", call)
                record.status = grpc.StatusCode.INTERNAL.name
                await context.abort(grpc.StatusCode.INTERNAL, "The server failed at this request; its log says more.")


class _PredictionService(_Service, prediction_service_pb2_grpc.PredictionServiceServicer):
    async def Predict(self, request, context):
        async with self._answering("Predict", context) as record:
            with self._predictor.place():
                return await self._predictor.run(self._predict, request, record)

    async def GetModelMetadata(self, request, context):
        async with self._answering("GetModelMetadata", context):
            if list(request.metadata_field) != ["signature_def"]:
                raise invalid('metadata_field must be ["signature_def"].')
            version = self._store.resolve(request.model_spec)
            response = GetModelMetadataResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = version.number
            response.metadata["signature_def"].Pack(SignatureDefMap(signature_def=version.signature_defs))
            return response

    def _predict(self, request, record):
        limit = self._predictor.limits.request_bytes

        def read_inputs(signature):
            return {name: tensors.from_proto(name, proto, limit) for name, proto in request.inputs.items()}

        answered_by, outputs = self._predictor.predict(request.model_spec, read_inputs, record)
        unknown = sorted(set(request.output_filter) - outputs.keys())
        if unknown:
            raise invalid(
                f"Unknown output {unknown[0]!r} in output_filter; the model has {', '.join(sorted(outputs))}."
            )
        response = PredictResponse(model_spec=answered_by)
        for name in request.output_filter or outputs:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response


class _ModelService(_Service, model_service_pb2_grpc.ModelServiceServicer):
    async def GetModelStatus(self, request, context):
        async with self._answering("GetModelStatus", context):
            return self._store.status(request.model_spec)

    async def HandleReloadConfigRequest(self, request, context):
        async with self._answering("HandleReloadConfigRequest", context):
            await self._predictor.run(self._store.reconfigure, request.config)
            return ReloadConfigResponse()
