"""The local server takes so much and no more, says so, and finishes what it has begun when it is told to stop."""

import base64
import io
import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub


def png(size):
    file = io.BytesIO()
    Image.fromarray(np.zeros((size, size), "uint8")).save(file, "png")
    return file.getvalue()


def request(picture, number, query=None):
    proto = PredictRequest()
    proto.model_spec.name, proto.model_spec.signature_name = "m", "adapt_and_predict_encoded"
    for name, values in {
        "support_images": [picture],
        "support_labels": ["a"],
        "query_images": [query or picture] * number,
    }.items():
        proto.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return proto


QUICK = request(png(16), 1)
QUICK_BODY = json.dumps(
    {
        "signature_name": "adapt_and_predict_encoded",
        "inputs": {
            "support_images": [{"b64": base64.b64encode(png(16)).decode()}],
            "support_labels": ["a"],
            "query_images": [{"b64": base64.b64encode(png(16)).decode()}],
        },
    }
)
SLOW = request(png(4000), 29)  # seconds


@pytest.fixture
def bounded(start_server, exported):
    server = start_server(
        f"--model_base_path={exported.parent}", "--max_concurrent=1", "--max_waiting=1", "--max_images=30"
    )
    yield server
    if server.process.poll() is None:
        server.stop()


def wait_for_requests(server, number, protocol="gRPC"):
    """Until so many are being answered or wait for it."""
    line = f'ml_lstm_requests_in_flight{{protocol="{protocol}"}} {number}.0'
    while line not in requests.get(f"{server.url}/metrics", timeout=600).text:
        time.sleep(0.01)


@pytest.mark.slow
def test_it_bounds_images_sheds_load_and_stops_after_the_last_answer(bounded):
    """In one test, as a server takes seconds to start."""
    with grpc.insecure_channel(bounded.grpc) as channel:
        predict = PredictionServiceStub(channel).Predict
        with pytest.raises(grpc.RpcError) as error:
            predict(request(png(16), 30), timeout=600)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "has 31 images; this server takes at most 30" in error.value.details()

        computed = predict.future(SLOW, timeout=600)
        waiting = predict.future(QUICK, timeout=600)
        wait_for_requests(bounded, 2)
        with pytest.raises(grpc.RpcError) as error:
            predict(QUICK, timeout=600)
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "Try again" in error.value.details()
        refused = requests.post(f"{bounded.url}/v1/models/m:predict", data=b"{}", timeout=600)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert requests.get(f"{bounded.url}/v1/models/m", timeout=600).status_code == 200
        assert not computed.done()
        assert waiting.result().outputs["predictions"].string_val == [b"a"]
        assert computed.result()

        # A caller who gives up while it waits takes no time of the model.
        computed = predict.future(SLOW, timeout=600)
        wait_for_requests(bounded, 1)
        with pytest.raises(grpc.RpcError) as error:
            predict(QUICK, timeout=0.1)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert computed.result()
        bounded.wait_for(" gRPC Predict CANCELLED ")

        begun = predict.future(SLOW, timeout=600)
        wait_for_requests(bounded, 1)
        with ThreadPoolExecutor(1) as pool:
            also_begun = pool.submit(requests.post, f"{bounded.url}/v1/models/m:predict", data=QUICK_BODY, timeout=600)
            wait_for_requests(bounded, 2, "REST")  # that, and the one that asks for it
            bounded.process.send_signal(signal.SIGTERM)
            assert len(begun.result().outputs) == 3
            assert also_begun.result().json()["outputs"]["predictions"] == ["a"]
    assert bounded.process.wait(30) == 0
    assert bounded.log.read_text().splitlines()[-1].endswith("Stopped")
    address = urlsplit(bounded.url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port))
