"""The gRPC interface of the local server is TensorFlow Serving's, by its own protos."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

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
    assert "query_images is no tensor" in words or "query_images is too large" in words
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
    request_.inputs["query_images"].CopyFrom(tf.make_tensor_proto(IMAGES[:2]))  # the only answer to five
    predict(request_, timeout=600)
    assert "m/1 serving_default" in server.line("gRPC Predict OK .* 5 images")
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
