"""No caller can stop the server, or hold it up for others, whatever is sent to it."""

import json
import os
import shutil
import signal
import socket
import time
from urllib.parse import urlsplit

import grpc
import psutil
import pytest
import requests
import tensorflow as tf
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from tests.data.pictures_test import bmp_header, jpeg_header, png_header
from tests.serving.limits_test import QUICK, QUICK_BODY, SLOW, png, request, wait_for_requests

STRING, UINT8 = tf.string.as_datatype_enum, tf.uint8.as_datatype_enum


def tensor(kind, *sizes, **values):
    proto = TensorProto(dtype=kind, **values)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


def with_inputs(**inputs):
    proto = PredictRequest()
    proto.CopyFrom(QUICK)
    for name, value in inputs.items():
        proto.inputs[name].CopyFrom(value)
    return proto


BOMBS = {
    "67 million strings": with_inputs(support_labels=tensor(STRING, 67_000_000)),
    "a hundred million strings": with_inputs(query_images=tensor(STRING, 100_000_000, string_val=[b""])),
    "a long string many times": with_inputs(support_labels=tensor(STRING, 10_000, string_val=[b"x" * 1_000_000])),
    "many dimensions": with_inputs(support_labels=tensor(STRING, *[1] * 5000, string_val=[b"a"])),
    "nothing of a huge shape": with_inputs(support_labels=tensor(STRING, 0, 2**62, 2**62)),
    "a huge size": with_inputs(support_labels=tensor(STRING, 2**62)),
    "a negative size": with_inputs(support_labels=tensor(STRING, -5)),
    "values that do not fit": with_inputs(support_labels=tensor(UINT8, 2, int_val=[2**31 - 1, -(2**31)])),
    "more values than places": with_inputs(support_labels=tensor(STRING, 1, string_val=[b"a"] * 5)),
    "no type": with_inputs(support_labels=TensorProto()),
    "a type that is none": with_inputs(support_labels=tensor(1000, 1)),
    "bytes in place of strings": with_inputs(support_labels=tensor(STRING, 1, tensor_content=b"a")),
    "no strings, and a shape beyond all memory": with_inputs(support_labels=tensor(STRING, 0, 2**31 - 1, 2**31 - 1)),
    "a part of a number": with_inputs(support_labels=tensor(UINT8, 3, tensor_content=b"a")),
    "thousands of inputs": with_inputs(**{f"input {number}": tensor(UINT8, 16_000_000) for number in range(5000)}),
    "large ones in sum": with_inputs(
        **{name: tensor(STRING, 200_000, string_val=[b"a"]) for name in ("support_labels", "query_images")}
    ),
    "an index that is no number of a version": with_inputs(),
}
BOMBS["an index that is no number of a version"].model_spec.version.value = -(2**63)


def memory(server):
    return psutil.Process(server.process.pid).memory_info().rss


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_what_a_request_becomes_is_bounded_before_memory_is_taken(bomb, server, channel):
    before, started = memory(server), time.monotonic()
    with pytest.raises(grpc.RpcError) as error:
        PredictionServiceStub(channel).Predict(bomb, timeout=600)
    assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert len(error.value.details()) < 1000
    assert time.monotonic() - started < 10
    assert memory(server) - before < 200e6
    assert PredictionServiceStub(channel).Predict(QUICK, timeout=600).outputs["predictions"].string_val == [b"a"]


@pytest.mark.parametrize("header", [jpeg_header, png_header, bmp_header], ids=["jpeg", "png", "bmp"])
def test_pixels_are_bounded_in_sum(header, channel):
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as error:
        PredictionServiceStub(channel).Predict(request(png(16), 500, header(4000, 4000)), timeout=600)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "query_images: the images have too many pixels" in error.value.details()
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("body", [b"[" + b"[]," * 1_500_000 + b"[]]", b"[" + b"1," * 5_000_000 + b"1]"])
def test_json_is_counted_before_it_is_read(body, server):
    answer = requests.post(f"{server.url}/v1/models/m:predict", data=b'{"inputs": ' + body + b"}", timeout=600)
    assert answer.status_code == 400
    assert "send image files" in answer.json()["error"]


def test_names_of_a_caller_are_not_repeated_whole(server, channel):
    long = "x" * 100_000
    requests.get(f"{server.url}/v1/models/{'y' * 5000}", timeout=600)
    body = {"signature_name": long, "inputs": {}}
    answer = requests.post(f"{server.url}/v1/models/m:predict", json=body, timeout=600)
    assert (answer.status_code, len(answer.text) < 1000) == (400, True)
    answer = requests.post(f"{server.url}/v1/models/m:predict", json={"inputs": {long: 1, long + "2": 2}}, timeout=600)
    assert (answer.status_code, len(answer.text) < 1000) == (400, True)
    for change in ({"name": long}, {"version_label": long}, {"signature_name": long}):
        asked = PredictRequest()
        asked.CopyFrom(QUICK)
        for name, value in change.items():
            setattr(asked.model_spec, name, value)
        with pytest.raises(grpc.RpcError) as error:
            PredictionServiceStub(channel).Predict(asked, timeout=600)
        assert len(error.value.details()) < 1000
    asked = PredictRequest()
    asked.CopyFrom(QUICK)
    asked.output_filter.append(long)
    with pytest.raises(grpc.RpcError) as error:
        PredictionServiceStub(channel).Predict(asked, timeout=600)
    assert len(error.value.details()) < 1000
    assert max(map(len, server.log.read_text().splitlines())) < 2000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8501"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403),
    ],
)
def test_pages_of_others_are_not_answered(headers, status, server):
    answer = requests.get(f"{server.url}/v1/models/m", headers=headers, timeout=600)
    assert answer.status_code == status
    assert status == 200 or "allowed" in answer.json()["error"]
    posted = requests.post(f"{server.url}/v1/models/m:predict", data=QUICK_BODY, headers=headers, timeout=600)
    assert posted.status_code == status


def test_it_says_what_is_here(server):
    here = requests.get(f"{server.url}/", timeout=600).json()
    assert here["models"] == ["m"]
    assert "POST /v1/models/m:predict" in here["paths"]
    (model,) = requests.get(f"{server.url}/v1/models", timeout=600).json()["models"]
    assert (model["name"], model["model_version_status"][0]["state"]) == ("m", "AVAILABLE")


def test_grpc_has_health_and_reflection_and_refuses_what_is_no_message(server, channel):
    check = health_pb2_grpc.HealthStub(channel).Check
    for service in ("", "tensorflow.serving.PredictionService"):
        answer = check(health_pb2.HealthCheckRequest(service=service), timeout=600)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol="tensorflow.serving.PredictionService")
    (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]), timeout=600)
    files = map(descriptor_pb2.FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
    assert any("Predict" in [method.name for method in service.method] for file in files for service in file.service)
    for service, method in (
        ("PredictionService", "Predict"),
        ("PredictionService", "GetModelMetadata"),
        ("ModelService", "GetModelStatus"),
        ("ModelService", "HandleReloadConfigRequest"),
    ):
        call = channel.unary_unary(f"/tensorflow.serving.{service}/{method}")
        with pytest.raises(grpc.RpcError) as error:
            call(b"\xff\xff\xff\xff", timeout=600)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/tensorflow.serving.PredictionService/Classify")(b"", timeout=600)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def models(exported, tmp_path_factory):
    """A directory of versions of its own."""
    return shutil.copytree(exported.parent, tmp_path_factory.mktemp("hostile") / "m")


@pytest.fixture(scope="module")
def impatient(start_server, models):
    """One request at a time, a second each."""
    return start_server(f"--model_base_path={models}", "--max_concurrent=1", "--max_waiting=1", "--request_seconds=1")


def test_a_request_ends_at_its_deadline_and_the_next_is_answered(impatient):
    with grpc.insecure_channel(impatient.grpc) as channel:
        predict = PredictionServiceStub(channel).Predict
        started = time.monotonic()
        with pytest.raises(grpc.RpcError) as error:
            predict(SLOW, timeout=600)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "send fewer or smaller images" in error.value.details()
        assert predict(QUICK, timeout=600).outputs["predictions"].string_val == [b"a"]
        assert time.monotonic() - started < 8  # alone it would be longer


def connection(server, sent):
    address = urlsplit(server.url)
    made = socket.create_connection((address.hostname, address.port))
    made.sendall(sent)
    return made


def test_bodies_that_do_not_come_take_no_place(impatient):
    header = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    slow = [connection(impatient, header) for _ in range(20)]
    wait_for_requests(impatient, 21, "REST")  # with the one that asks
    answer = requests.post(f"{impatient.url}/v1/models/m:predict", data=QUICK_BODY, timeout=600)
    assert answer.status_code == 200
    for each in slow:
        each.close()


def test_a_caller_by_rest_who_leaves_is_computed_for_no_longer(impatient):
    with grpc.insecure_channel(impatient.grpc) as channel:
        PredictionServiceStub(channel).Predict(QUICK, timeout=600)
    body = json.loads(QUICK_BODY)
    body["inputs"]["query_images"] *= 900
    sent = json.dumps(body).encode()
    header = f"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sent)}\r\n\r\n"
    connection(impatient, header.encode() + sent).close()
    impatient.wait_for(r" REST POST /v1/models/m:predict 400 .*The caller disconnected")


@pytest.mark.parametrize(
    "header",
    [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000, b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n"],
)
def test_a_header_is_bounded(header, server):
    made = connection(server, b"")
    try:
        made.sendall(header)
        answer = made.recv(1000)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    assert answer == b"" or b" 400 " in answer.splitlines()[0]


def test_chunks_are_bounded(server):
    header = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = QUICK_BODY.encode()
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:7], body[7:])]
    made = connection(server, header + b"".join(chunks) + b"0\r\n\r\n")
    assert b" 200 " in made.recv(1000).splitlines()[0]
    try:
        made = connection(server, header + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n")
        answer = made.recv(1000)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    assert answer == b"" or b" 400 " in answer.splitlines()[0]


@pytest.mark.slow
def test_one_models_fault_stays_its_own(start_server, exported, tmp_path):
    paths = {name: shutil.copytree(exported.parent, tmp_path / name) for name in ("good", "strange")}
    strange = paths["strange"]
    (strange / "7").symlink_to(tmp_path / "nowhere")
    (strange / "8").symlink_to("8")
    (strange / ("9" * 20)).mkdir()
    (strange / "²").mkdir()
    (strange / "1" / "dangling").symlink_to(tmp_path / "nowhere")
    (strange / "5").mkdir()
    (strange / "5" / "loop").symlink_to("loop")
    (strange / "6").write_text("a file")
    config = "model_config_list { " + " ".join(
        f'config {{ name: "{name}" base_path: "{path}" }}' for name, path in paths.items()
    )
    (tmp_path / "models.config").write_text(config + " }")
    server = start_server(f"--model_config_file={tmp_path / 'models.config'}", "--file_system_poll_wait_seconds=0.1")
    for name in paths:
        assert requests.post(f"{server.url}/v1/models/{name}:predict", data=QUICK_BODY, timeout=600).status_code == 200
    shutil.copytree(paths["good"] / "1", paths["good"] / "2")
    server.wait_for("good: version 2 available")
    os.rename(strange, tmp_path / "gone")
    shutil.copytree(paths["good"] / "1", paths["good"] / "3")
    server.wait_for("good: version 3 available")
    assert requests.post(f"{server.url}/v1/models/strange:predict", data=QUICK_BODY, timeout=600).status_code == 200
    server.stop()


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(start_server, models):
    server = start_server(f"--model_base_path={models}")
    with grpc.insecure_channel(server.grpc) as channel:
        begun = PredictionServiceStub(channel).Predict.future(SLOW, timeout=600)
        wait_for_requests(server, 1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == -signal.SIGTERM
        assert begun.exception(timeout=600)
