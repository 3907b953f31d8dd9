"""The gRPC interface of the local server is TensorFlow Serving's, by its own protos."""

import grpc
import numpy as np
import orjson
import pytest
import requests
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from ml_lstm.serving.server import version
from ml_lstm_client import GrpcClient, RestClient

IMAGES = np.random.default_rng(3).integers(0, 256, (3, 16, 16, 1)).astype("uint8")


@pytest.fixture
def predict(channel):
    return PredictionServiceStub(channel).Predict


@pytest.fixture
def models(channel):
    return ModelServiceStub(channel)


@pytest.fixture
def request_():
    request = PredictRequest()
    request.model_spec.name = "m"
    for name, value in {"support_images": IMAGES, "support_labels": list("abc"), "query_images": IMAGES}.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def refused(call, request):
    """The code and the words."""
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=600)
    return error.value.code(), error.value.details()


def test_the_answer_says_who_gave_it(predict, request_):
    spec = predict(request_, timeout=600).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("m", 1, "serving_default")


def test_the_output_filter_leaves_out_the_rest(predict, request_):
    request_.output_filter.append("predictions")
    assert predict(request_, timeout=600).outputs.keys() == {"predictions"}
    request_.output_filter.append("logits")
    code, words = refused(predict, request_)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "Unknown output 'logits'" in words


def test_metadata_describes_the_signatures(channel):
    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "m"
    response = PredictionServiceStub(channel).GetModelMetadata(request, timeout=600)
    assert response.model_spec.version.value == 1
    signatures = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["predict"].outputs["probabilities"].dtype == tf.float32.as_datatype_enum


@pytest.mark.parametrize("fields", [["signature_def"], ["model_card"], ["signature_def", "model_card"]])
def test_metadata_has_the_model_card_as_by_rest(fields, channel, server):
    request = GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "m"
    metadata = PredictionServiceStub(channel).GetModelMetadata(request, timeout=600).metadata
    assert metadata.keys() == {*fields, "model_card"}
    card = Struct()
    assert metadata["model_card"].Unpack(card)
    by_rest = requests.get(f"{server.url}/v1/models/m/metadata", timeout=600).json()["metadata"]["model_card"]
    assert MessageToDict(card) == by_rest == {"method": "meta_lstm"}
    with GrpcClient(server.grpc, "m") as by_grpc, RestClient(server.url, "m") as client:
        assert by_grpc.model_card == client.model_card == by_rest


@pytest.mark.parametrize("fields", [[], ["signature_defs"], ["signature_def", ""]])
def test_metadata_that_there_is_not_is_told(fields, channel):
    request = GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "m"
    code, words = refused(PredictionServiceStub(channel).GetModelMetadata, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "metadata_field must be" in words


CARDS = {
    "numbers": (
        b'{"a": 1, "b": [0.5, null, true], "c": {"d": "\xc3\xbc"}}',
        {"a": 1, "b": [0.5, None, True], "c": {"d": "ü"}},
    ),
    "none": (None, {}),
    "empty": (b"", {}),
    "no JSON": (b"{'a': 1}", {}),
    "a list": (b"[1]", {}),
    "no number": (b'{"a": NaN}', {}),
    "a huge number": (b'{"a": 1' + b"0" * 400 + b"}", {}),
    "half a character": (b'{"a": "\\ud800"}', {}),
    "no UTF-8": (b'{"a": "\xff"}', {}),
    "deep": (b'{"a": ' + b"[" * 90 + b"]" * 90 + b"}", {}),
    "deeper": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_what_both_protocols_can_tell(name, tmp_path):
    written, told = CARDS[name]
    path = tmp_path / "model_card.json"
    if written is not None:
        path.write_bytes(written)
    card = version.card_of(path)
    assert card == told == MessageToDict(version.card_as_proto(card)) == orjson.loads(orjson.dumps(card))


def test_status_tells_what_is_available(models):
    request = GetModelStatusRequest()
    request.model_spec.name = "m"
    (status,) = models.GetModelStatus(request, timeout=600).model_version_status
    assert (status.version, status.state, status.status.error_code) == (1, ModelVersionStatus.AVAILABLE, 0)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"name": "other"}, grpc.StatusCode.NOT_FOUND, "no model 'other'"),
        ({"name": "m", "version": {"value": 7}}, grpc.StatusCode.NOT_FOUND, "no version 7"),
        ({"name": "m", "version_label": "stable"}, grpc.StatusCode.NOT_FOUND, "no label 'stable'"),
        ({"name": "m", "signature_name": "train"}, grpc.StatusCode.INVALID_ARGUMENT, "Unknown signature 'train'"),
    ],
)
def test_what_is_not_there_is_told(predict, request_, change, code, words):
    request_.model_spec.CopyFrom(type(request_.model_spec)())
    for name, value in change.items():
        if name == "version":
            request_.model_spec.version.value = value["value"]
        else:
            setattr(request_.model_spec, name, value)
    got, sentence = refused(predict, request_)
    assert got == code
    assert words in sentence


def test_missing_and_unknown_inputs_are_named(predict, request_):
    request_.inputs["images"].CopyFrom(request_.inputs["query_images"])
    del request_.inputs["query_images"]
    code, words = refused(predict, request_)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert words.startswith("The request lacks query_images and does not take images; it takes query_images, ")


@pytest.mark.parametrize(
    ("shape", "content"),
    [
        ([100_000, 100_000, 1, 1], b""),  # 10 GB asked for by a few bytes
        ([2**62, 2**62, 2**62, 1], b""),
        ([3, -1, 16, 1], b""),
        ([3, 16, 16, 1], b"short"),
    ],
)
def test_a_proto_that_is_no_tensor_is_refused_before_memory_is_taken(predict, request_, shape, content):
    proto = request_.inputs["query_images"]
    proto.Clear()
    proto.dtype = tf.uint8.as_datatype_enum
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = content
    code, words = refused(predict, request_)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "query_images is not a valid tensor" in words or "query_images is too large" in words
    assert "\n" not in words


@pytest.mark.parametrize("dtype", [0, 21, 9999])
def test_a_proto_of_no_type_is_refused(predict, request_, dtype):
    request_.inputs["query_images"].dtype = dtype
    assert refused(predict, request_)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_over_the_limit_is_refused(predict, request_):
    request_.inputs["query_images"].CopyFrom(tf.make_tensor_proto(np.zeros([17 * 1024, 32, 32, 1], "uint8")))
    assert refused(predict, request_)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_nothing_else_is_loaded_over_the_network(models, exported, tmp_path):
    request = ReloadConfigRequest()
    request.config.model_config_list.config.add(name="m", base_path=str(tmp_path))
    code, words = refused(models.HandleReloadConfigRequest, request)
    assert code == grpc.StatusCode.PERMISSION_DENIED
    assert f"it serves m from {exported.parent}" in words
    assert refused(models.HandleReloadConfigRequest, ReloadConfigRequest())[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_each_request_is_a_line_of_the_log(server, predict, request_):
    before = server.log.read_text()
    predict(request_, timeout=600)
    assert "m/1 serving_default" in server.line("gRPC Predict OK .* 6 images", before)
    request_.model_spec.signature_name = "logged"
    refused(predict, request_)
    assert " gRPC Predict INVALID_ARGUMENT " in server.line("Unknown signature .logged")


def test_a_label_can_be_set_while_it_runs(models, predict, request_, exported):
    request_.model_spec.version_label = "stable"
    request = ReloadConfigRequest()
    config = request.config.model_config_list.config.add(name="m", base_path=str(exported.parent))
    try:
        config.version_labels["stable"] = 1
        models.HandleReloadConfigRequest(request, timeout=600)
        assert predict(request_, timeout=600).model_spec.version.value == 1
    finally:
        config.version_labels.clear()
        models.HandleReloadConfigRequest(request, timeout=600)
    assert refused(predict, request_)[0] == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("other", ["Classify", "Regress", "MultiInference"])
def test_other_methods_are_not_implemented(channel, other):
    unimplemented = channel.unary_unary(f"/tensorflow.serving.PredictionService/{other}")
    assert refused(unimplemented, b"")[0] == grpc.StatusCode.UNIMPLEMENTED
