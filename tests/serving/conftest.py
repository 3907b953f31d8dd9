"""A small exported model and a server of it, made once for all tests of serving."""

import base64
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import keras
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Problem
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM
from ml_lstm.serving import export_version
from tests import forks

SHAPE = (16, 16, 1)
LIBRARY = Path(tf.__file__).parent / "libtensorflow_cc.so.2"
RUNNER = Path(__file__).with_name("run_with_c_api.py")


@pytest.fixture(scope="session")
def method():
    """Not trained, but with gates so far open that an answer depends on the support set."""
    keras.utils.set_random_seed(0)
    cell = MetaLSTMCell(hidden_units=2, input_gate_bias=(-2, -1))
    return MetaLSTM(conv4(SHAPE, 5, filters=4), Problem(SHAPE, 5, None, [0.8], [0.3]), cell, inner_steps=2)


@pytest.fixture(scope="session")
def exported(method, tmp_path_factory):
    """Its version's directory."""
    return export_version(method, SHAPE, str(tmp_path_factory.mktemp("models") / "m"), '{"method": "meta_lstm"}')


@pytest.fixture(scope="session")
def signatures(exported):
    return tf.saved_model.load(str(exported)).signatures


@pytest.fixture(scope="session")
def warm_up(exported):
    """The export's warm-up requests: tensors by input name, by signature."""
    records = tf.data.TFRecordDataset(str(exported / "assets.extra" / "tf_serving_warmup_requests"))
    requests = [PredictionLog.FromString(record.numpy()).predict_log.request for record in records]
    return {
        request.model_spec.signature_name: {
            name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()
        }
        for request in requests
    }


def _to_wire(value):
    array = tf.convert_to_tensor(value).numpy()
    kind = tf.as_dtype(array.dtype).as_datatype_enum
    data = [item.hex() for item in array.ravel()] if array.dtype == object else array.tobytes().hex()
    return {"type": kind, "shape": list(array.shape), "data": data}


def _from_wire(value):
    if value["type"] == tf.string.as_datatype_enum:
        return np.array([bytes.fromhex(item) for item in value["data"]], object).reshape(value["shape"])
    kind = tf.as_dtype(value["type"]).as_numpy_dtype
    return np.frombuffer(bytes.fromhex(value["data"]), kind).reshape(value["shape"])


@pytest.fixture
def run_in_c(exported, tmp_path):
    """Maps `(signature, inputs by name)` pairs to `(code, message, outputs by name)`, in a process of its own."""
    if not LIBRARY.exists():
        pytest.skip("only TensorFlow for Linux has its C library so")
    saved_model = SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    definitions = saved_model.meta_graphs[0].signature_def

    def answers(requests):
        wire = [
            {
                "inputs": {definitions[name].inputs[key].name: _to_wire(value) for key, value in inputs.items()},
                "outputs": [output.name for output in definitions[name].outputs.values()],
            }
            for name, inputs in requests
        ]
        (tmp_path / "requests.json").write_text(json.dumps(wire))
        paths = [LIBRARY, exported, tmp_path / "requests.json", tmp_path / "answers.json"]
        # -I: without this directory, the environment or a user's packages; -S: without installed ones.
        subprocess.run([sys.executable, "-I", "-S", RUNNER, *paths], check=True, timeout=3000)
        for (name, _), answer in zip(requests, json.loads((tmp_path / "answers.json").read_text()), strict=True):
            keys = {output.name: key for key, output in definitions[name].outputs.items()}
            outputs = {keys[tensor]: _from_wire(value) for tensor, value in answer["outputs"].items()}
            yield answer["code"], answer["message"], outputs

    return answers


class Server:
    """`python -m ml_lstm.serve` with any free ports, in a process of its own.

    Attributes:
        url: of its REST interface.
        grpc: address of its gRPC interface.
        log: path of what it writes.
    """

    def __init__(self, log, *flags):
        self.log = log
        with open(log, "wb") as stderr:
            self.process = forks.start("ml_lstm.serve", "--rest_api_port=0", "--port=0", *flags, stderr=stderr.fileno())
        ready = self.wait_for(r"REST at (http://\S+), gRPC at (\S+)", 1200)
        self.url, self.grpc = ready.groups()

    def wait_for(self, pattern, seconds=300, after=""):
        """Waits until `pattern` is in the log, behind `after`, which it begins with; returns the match."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.log.read_text().removeprefix(after))):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return match

    def line(self, pattern, after=""):
        """The one line, behind `after`, that `pattern` is in, as soon as it is there: an answer may be faster."""
        self.wait_for(pattern + ".*\n", after=after)
        (line,) = re.findall(f".*{pattern}.*", self.log.read_text().removeprefix(after))
        return line

    def stop(self):
        """Ends it as an operator would; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """Starts servers that end with the tests."""
    servers = []

    def start(*flags):
        servers.append(Server(tmp_path_factory.mktemp("server") / "log", *flags))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def server(start_server, exported):
    """Serves the exported model, as `m`, within the limits that are set by default."""
    return start_server(f"--model_base_path={exported.parent}")


@pytest.fixture(scope="session")
def rest(server):
    """Calls a signature by REST, raw arrays as lists; returns the HTTP status and the answer."""
    session = requests.Session()

    def call(signature, inputs, model="m"):
        body = {"signature_name": signature, "inputs": {name: to_json(value) for name, value in inputs.items()}}
        response = session.post(f"{server.url}/v1/models/{model}:predict", data=json.dumps(body), timeout=600)
        return response.status_code, response.json()

    yield call
    session.close()


@pytest.fixture(scope="session")
def channel(server):
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(server.grpc, options) as channel:
        yield channel


@pytest.fixture(scope="session")
def grpc_predict(channel):
    """Calls a signature by gRPC; returns the outputs as arrays by name."""
    stub = PredictionServiceStub(channel)

    def call(signature, inputs, model="m"):
        request = PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
        response = stub.Predict(request, timeout=600)
        return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}

    return call


def to_json(value):
    """An array, or a list of strings and of bytes, as TensorFlow Serving's REST interface takes it."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
