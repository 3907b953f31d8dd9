"""The client without TensorFlow: what it sends is what TensorFlow Serving takes, what it gets is told in one line."""

import base64
import csv
import errno
import io
import json
import math
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.struct_pb2 import Struct
from PIL import Image
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataResponse, SignatureDefMap
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)

import ml_lstm_client
from ml_lstm_client import Client, RestClient, ServingError
from ml_lstm_client.client import sentence
from ml_lstm_client.command import main
from ml_lstm_client.grpc_client import GrpcClient

SOURCE = Path(ml_lstm_client.__file__).parents[1]
NO_PICTURE = "is not a JPEG, PNG, BMP or GIF image."
NOT_UTF8 = b"caf\xe9".decode(errors="surrogateescape")


def picture(brightness, size=0):
    """Begins as a PNG; the stand-in of a model looks at its last byte."""
    return b"\x89PNG\r\n\x1a\n" + bytes([0, 255] * (size // 2)) + bytes([brightness])


class Refusal(Exception):
    """(HTTP status, gRPC status, message)"""


class NearestMean:
    """Stands in for an exported model: a class is the mean of its pictures' last bytes.

    It speaks bytes and floats; the servers around it speak REST and gRPC.

    Attributes:
        card: what it says of itself; None for one that an older version exported.
        told: its card among the server's metadata; None where the server tells none.
        most_bytes: of a request's pictures.
        busy: requests that are still to be turned away.
        calibrated: whether it tells how familiar queries are, the brighter the more.
        requests: (version, label, signature, inputs) of those that were not.
    """

    INPUTS = {  # noqa: RUF012
        "adapt_encoded": {"support_images", "support_labels"},
        "predict_encoded": {"classes", "means", "query_images"},
        "adapt_and_predict_encoded": {"support_images", "support_labels", "query_images"},
        "check_encoded": {"query_images"},
        "describe": {"fields"},
    }

    def __init__(self):
        self.card = {"image_shape": [16, 16, 3]}
        self.told = None
        self.most_bytes = math.inf
        self.busy = 0
        self.calibrated = False
        self.requests = []

    def run(self, version, label, signature, inputs):
        if self.busy:
            self.busy -= 1
            raise Refusal(429, grpc.StatusCode.RESOURCE_EXHAUSTED, "The queue is full.")
        if self.card is None and signature in ("check_encoded", "describe"):
            raise bad_request(f"Serving signature name: {signature} not found in signature def")
        if sum(len(each) for name in inputs if name.endswith("_images") for each in inputs[name]) > self.most_bytes:
            # As ml_lstm.serve and gRPC tell it.
            raise Refusal(413, grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (9 vs. 8)")
        if signature == "describe":
            values = [json.dumps(self.card.get(field.decode())).encode() for field in inputs["fields"]]
            return {"fields": inputs["fields"], "values": values}
        self.requests.append((version, label, signature, inputs))
        if signature == "check_encoded":
            bad = [contents.endswith((b"damaged", b"refused")) for contents in inputs["query_images"]]
            return {"readable": [not each for each in bad], "unreadable": [n for n, each in enumerate(bad) if each]}
        if set(inputs) != self.INPUTS[signature]:
            raise bad_request(f"{signature} takes {sorted(self.INPUTS[signature])}; got {sorted(inputs)}")
        outputs = dict(inputs)
        if signature != "predict_encoded":
            values = self._read(inputs, "support_images")
            names = inputs["support_labels"]
            if len(names) != len(values):
                raise bad_request(assertion("must have the same length; they have", len(values), len(names)))
            classes = list(dict.fromkeys(names))
            if len(classes) > 5:
                raise bad_request(
                    assertion("The model can distinguish at most 5 classes; the support set has", len(classes))
                )
            members = [[v for v, name in zip(values, names, strict=True) if name == c] for c in classes]
            outputs = {"classes": classes, "means": [sum(m) / len(m) for m in members], **outputs}
            if signature == "adapt_encoded":
                return {name: outputs[name] for name in ("classes", "means")}
        rows = [
            [math.exp(-abs(value - mean)) for mean in outputs["means"]] for value in self._read(inputs, "query_images")
        ]
        rows = [[each / sum(row) for each in row] for row in rows]
        answers = {
            "probabilities": rows,
            "predictions": [outputs["classes"][row.index(max(row))] for row in rows],
        }
        if self.calibrated:
            answers["familiarity"] = self._read(inputs, "query_images")
        return answers if signature == "predict_encoded" else {"classes": outputs["classes"]} | answers

    def _read(self, inputs, name):
        for index, contents in enumerate(inputs[name]):
            if contents.endswith(b"damaged"):
                raise bad_request("Number of channels was 0\n\t [[{{node map/while/DecodeBmp}}]]")
            if contents.endswith(b"refused"):
                raise bad_request(assertion(f"{name}: the image at index", index, "has no pixels."))
        return [contents[-1] / 255 for contents in inputs[name]]


def bad_request(message):
    return Refusal(400, grpc.StatusCode.INVALID_ARGUMENT, message)


def assertion(*words):
    """As TensorFlow tells of a tf.debugging.Assert that failed in a server."""
    listed = " ".join(f"[{word}]" for word in words)
    node = "{{node map/while/Assert/Assert}}"
    return (
        f"2 root error(s) found.\n  (0) INVALID_ARGUMENT: {{{{function_node f_1}}}} assertion failed: {listed}\n"
        f"\t [[{node}]]\n\t [[map/_7]]\n  (1) INVALID_ARGUMENT: assertion failed: {listed}\n\t [[{node}]]\n"
        "0 successful operations.\n0 derived errors ignored."
    )


class RestHandler(BaseHTTPRequestHandler):
    """TensorFlow Serving's REST API around `server.model`."""

    protocol_version = "HTTP/1.1"
    PATH = re.compile(r"/v1/models/few_shot(?:/versions/(\d+)|/labels/(\w+))?:predict")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            self._answer(200, {"outputs": self._outputs(json.loads(body))})
        except Refusal as refusal:
            self._answer(refusal.args[0], {"error": refusal.args[2]})

    def do_GET(self):
        if not self.path.endswith("few_shot/metadata"):
            return self._answer(404, {"error": f"Servable not found for request: {self.path}"})
        told = {} if self.server.model.told is None else {"model_card": self.server.model.told}
        self._answer(200, {"model_spec": {}, "metadata": {"signature_def": {}} | told})

    def _outputs(self, request):
        path = self.PATH.fullmatch(self.path)
        if not path:
            raise Refusal(404, None, f"Servable not found for request: {self.path}")
        if request.keys() != {"signature_name", "inputs"}:
            raise bad_request(f"unexpected members {request.keys()}")
        inputs = {name: [self._element(name, each) for each in each] for name, each in request["inputs"].items()}
        version = int(path[1]) if path[1] else None
        outputs = self.server.model.run(version, path[2], request["signature_name"], inputs)
        # TensorFlow Serving escapes nothing but what JSON must: bytes that are no UTF-8 leave as they came.
        return {
            name: [each.decode(errors="surrogateescape") for each in value]
            if value and isinstance(value[0], bytes)
            else value
            for name, value in outputs.items()
        }

    def _element(self, name, value):
        if isinstance(value, dict) and value.keys() == {"b64"}:
            return base64.b64decode(value["b64"], validate=True)
        if name.endswith("_images"):
            raise bad_request(f"{name}: pictures must be base64")
        return value.encode() if isinstance(value, str) else value

    def _answer(self, status, value):
        body = json.dumps(value, ensure_ascii=False).encode(errors="surrogateescape")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class GrpcService(PredictionServiceServicer):
    """TensorFlow Serving's gRPC API around a model."""

    def __init__(self, model):
        self._model = model

    def Predict(self, request, context):
        spec = request.model_spec
        if spec.name != "few_shot":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {spec.name}")
        inputs = {name: tf.make_ndarray(tensor).tolist() for name, tensor in request.inputs.items()}
        version = spec.version.value if spec.HasField("version") else None
        try:
            outputs = self._model.run(version, spec.version_label or None, spec.signature_name, inputs)
        except Refusal as refusal:
            context.abort(*refusal.args[1:])
        response = PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):
        if request.model_spec.name != "few_shot":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request.model_spec.name}")
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Metadata field is not supported")
        response, card = GetModelMetadataResponse(), Struct()
        response.metadata["signature_def"].Pack(SignatureDefMap())
        if self._model.told is not None:
            card.update(self._model.told)
            response.metadata["model_card"].Pack(card)
        return response


@pytest.fixture
def model():
    return NearestMean()


@pytest.fixture
def rest_server(model):
    """Its URL."""
    yield from served_over_http(RestHandler, model)


def served_over_http(handler, model=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.model = True, model
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def grpc_server(model):
    """Its address."""
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    add_PredictionServiceServicer_to_server(GrpcService(model), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture
def free_address():
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    return f"127.0.0.1:{port}"


@pytest.fixture(params=["rest", "grpc"])
def transport(request):
    return request.param


@pytest.fixture
def connect(transport, request):
    """Makes a client of the server."""
    where = request.getfixturevalue(f"{transport}_server")
    kind = {"rest": RestClient, "grpc": GrpcClient}[transport]
    opened = []

    def open_client(**setting):
        opened.append(kind(where, **setting))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(Client, "_first_pause_seconds", 0.01)


SUPPORT = [picture(0), picture(250), picture(10)], ["night", "day ü", "night"]


def test_both_ways_of_asking_give_the_answers_of_the_model(connect):
    client = connect()
    queries = [picture(5), picture(255)]
    answers = client.adapt_and_predict(*SUPPORT, queries)
    assert [answer.prediction for answer in answers] == ["night", "day ü"]
    # Means of 5/255 and 250/255: the first query is 0 and 245/255 away from them.
    night = 1 / (1 + math.exp(-245 / 255))
    assert answers[0].probabilities == pytest.approx({"night": night, "day ü": 1 - night}, abs=1e-6)
    assert list(answers[0].probabilities) == ["night", "day ü"]
    adaptation = client.adapt(*SUPPORT)
    for _ in range(2):
        again = client.predict(adaptation, queries)
        assert [answer.prediction for answer in again] == ["night", "day ü"]
        assert again[0].probabilities == pytest.approx(answers[0].probabilities, abs=1e-6)


def test_an_adaptation_goes_back_as_it_came(connect, model):
    client = connect()
    support = [picture(n) for n in (1, 2, 4)], ["a", "b", "b"]
    client.predict(client.adapt(*support), [picture(1)])
    sent = model.requests[-1][-1]
    assert sent["classes"] == [b"a", b"b"]
    assert sent["means"] == pytest.approx([1 / 255, 3 / 255], rel=1e-7)


def test_a_class_name_may_be_any_bytes(connect):
    client = connect()
    names = [NOT_UTF8, "zwölf 十二", 'quote " and \\', "nul\0"]
    pictures = [picture(60 * n) for n in range(4)]
    adaptation = client.adapt(pictures, names)
    for answers in (client.predict(adaptation, pictures), client.adapt_and_predict(pictures, names, pictures)):
        assert [answer.prediction for answer in answers] == names
        assert list(answers[0].probabilities) == names


def test_pictures_reach_the_model_byte_for_byte(connect, model):
    contents = bytes(range(256)) + b"\0\0"
    connect().adapt([contents], ["a"])
    assert model.requests[-1][-1]["support_images"] == [contents]


@pytest.mark.parametrize(
    ("setting", "asked"),
    [({}, (None, None)), ({"version": 3}, (3, None)), ({"version": 0}, (0, None)), ({"label": "new"}, (None, "new"))],
)
def test_the_version_asked_for_is_the_one_that_was_named(connect, model, setting, asked):
    connect(**setting).adapt(*SUPPORT)
    assert model.requests[-1][:2] == asked


def test_version_and_label_together_are_refused(transport):
    kind = {"rest": RestClient, "grpc": GrpcClient}[transport]
    with pytest.raises(ValueError, match=r"not both; got version=1, label='new'"):
        kind(version=1, label="new")
    with pytest.raises(ValueError, match="timeout must be positive"):
        kind(timeout=0)


def test_a_url_without_its_scheme_is_refused():
    with pytest.raises(ValueError, match="'localhost:8501'"):
        RestClient("localhost:8501")


def test_a_refusal_is_the_servers_sentence_alone(connect):
    client = connect()
    with pytest.raises(ServingError) as refusal:
        client.adapt([picture(n) for n in range(6)], list("abcdef"))
    assert str(refusal.value) == "The model can distinguish at most 5 classes; the support set has 6"
    assert refusal.value.code == 400
    with pytest.raises(ServingError, match="Servable not found") as refusal:
        connect(model="other").adapt(*SUPPORT)
    assert refusal.value.code == 404


def test_a_message_that_is_no_assertion_is_kept_whole():
    assert sentence("Malformed request:\n POST /v1/models [0]") == "Malformed request: POST /v1/models [0]"


def test_a_busy_server_is_asked_again(connect, model):
    model.busy = 3
    # Larger than what gRPC keeps for sending it again unless told otherwise.
    support = [picture(0, 2**20), picture(250)], ["night", "day"]
    assert connect().adapt_and_predict(*support, [picture(1)])[0].prediction == "night"
    assert model.busy == 0


def test_a_server_that_stays_busy_is_given_up(connect, model):
    model.busy = 100
    with pytest.raises(ServingError, match="The queue is full") as refusal:
        connect().adapt(*SUPPORT)
    assert refusal.value.code == 429
    assert model.busy == 95


def test_a_pause_is_as_long_as_the_server_asks_within_reason(monkeypatch):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    wishes = iter(["7", "100000", None])

    class Busy(RestHandler):
        def _answer(self, status, value):
            if (wish := next(wishes, "end")) == "end":
                return super()._answer(status, value)
            self.send_response(503)
            if wish:
                self.send_header("Retry-After", wish)
            self.send_header("Content-Length", "0")
            self.end_headers()

    for url in served_over_http(Busy, NearestMean()):
        with RestClient(url) as client:
            client.adapt(*SUPPORT)
    assert pauses[:2] == [7, 30]
    assert 0 < pauses[2] < 1


def test_nobody_there_is_one_line(transport, free_address):
    client = RestClient(f"http://{free_address}") if transport == "rest" else GrpcClient(free_address)
    with client, pytest.raises(ServingError, match=f"{free_address}.*refused.*check the address") as refusal:
        client.adapt(*SUPPORT)
    assert refusal.value.code == 503
    assert "\n" not in str(refusal.value)


def test_no_answer_in_time_is_one_line(transport):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        client = (
            RestClient(f"http://{address}", timeout=0.2) if transport == "rest" else GrpcClient(address, timeout=0.2)
        )
        with client, pytest.raises(ServingError, match=f"{address} did not answer within 0.2 s") as refusal:
            client.adapt(*SUPPORT)
        assert refusal.value.code == 504


def test_rest_at_the_port_of_grpc_is_one_line(grpc_server):
    with RestClient(f"http://{grpc_server}") as client, pytest.raises(ServingError, match="is not HTTP") as told:
        client.adapt(*SUPPORT)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("body", [b"<html>Welcome", b"\xff\xfe", b"[]", b'{"outputs": 3}', b'{"error": 7}', b""])
@pytest.mark.parametrize("status", [200, 404, 302])
def test_what_is_no_model_server_is_told(body, status):
    class Other(RestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    for url in served_over_http(Other):
        with (
            RestClient(url) as client,
            pytest.raises(ServingError, match=f"{url}.* answered {status} .*not like") as told,
        ):
            client.adapt(*SUPPORT)
        assert told.value.code == (404 if status == 404 else None)


@pytest.mark.parametrize(
    "outputs",
    [
        {"scores": [1.0]},
        {"classes": ["a"], "predictions": ["a"], "probabilities": [1.0]},
        {"classes": ["a", "b"], "predictions": ["a"], "probabilities": [[1.0]]},
        {"classes": 3, "predictions": 3, "probabilities": 3},
        {"classes": [1], "predictions": ["a"], "probabilities": [[1.0]]},
        {"classes": ["a"], "predictions": [{}], "probabilities": [[1.0]]},
    ],
)
def test_a_model_of_another_kind_is_told(outputs):
    class Other(RestHandler):
        def _outputs(self, _):
            return outputs

    for url in served_over_http(Other):
        with RestClient(url) as client, pytest.raises(ServingError) as told:
            client.adapt_and_predict(*SUPPORT, [picture(1)])
        assert url in str(told.value)
        assert told.value.code is None


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("tensorflow", "tensorflow_serving", "numpy", "grpc", "absl", "keras", "ml_lstm"):
            raise ModuleNotFoundError(f"blocked {name}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def test_rest_needs_no_tensorflow_and_grpc_names_its_extra(rest_server):
    program = f"""{WITHOUT}
import ml_lstm_client
with ml_lstm_client.RestClient({rest_server!r}) as client:
    print(client.adapt_and_predict([{picture(0)!r}], ["a"], [{picture(0)!r}])[0].prediction)
try:
    ml_lstm_client.GrpcClient
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=SOURCE, capture_output=True, text=True, timeout=600)
    assert result.stdout.splitlines() == [
        "a",
        "gRPC needs grpc, which is not installed: use REST, or pip install './export/client[grpc]' in the "
        "checkout of ml_lstm.",
    ], result.stderr


def test_the_command_without_the_extra_is_one_line(folders):
    flags = ["--support", str(folders / "support"), "--query", str(folders / "query"), "--grpc=localhost:1"]
    program = f"{WITHOUT}\nfrom ml_lstm_client.command import main\nmain({flags!r})"
    result = subprocess.run([sys.executable, "-c", program], cwd=SOURCE, capture_output=True, text=True, timeout=600)
    assert result.returncode == 1
    assert result.stderr == (
        "ml_lstm_client: gRPC needs grpc, which is not installed: use REST, or pip install './export/client[grpc]' in "
        "the checkout of ml_lstm.\n"
    )


def test_an_answer_is_a_pair_that_knows_how_familiar_the_picture_is_where_the_model_tells(connect, model):
    client = connect()
    queries = [picture(51), picture(255)]
    (prediction, _), _ = plain = client.adapt_and_predict(*SUPPORT, queries)
    assert (prediction, [answer.familiarity for answer in plain]) == ("night", [None, None])
    model.calibrated = True
    for answers in (client.adapt_and_predict(*SUPPORT, queries), client.predict(client.adapt(*SUPPORT), queries)):
        assert answers == plain
        assert [answer.familiarity for answer in answers] == pytest.approx([0.2, 1.0])


@pytest.fixture
def folders(tmp_path):
    """Support set of dark `night` and bright `day ü`, two queries."""
    contents = {"support/night/1": 0, "support/night/2": 9, "support/day ü/1": 255, "query/a": 3, "query/b": 252}
    for name, brightness in contents.items():
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(brightness))
    return tmp_path


@pytest.fixture
def ask(folders, transport, request, capsys):
    """Runs the command; returns `(exit status, lines of stdout, lines of stderr)`."""
    server = request.getfixturevalue(f"{transport}_server")
    server_flag = f"--url={server}" if transport == "rest" else f"--grpc={server}"

    def run(*flags):
        status = 0
        try:
            main([f"--support={folders / 'support'}", f"--query={folders / 'query'}", server_flag, *flags])
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return run


def test_table_csv_and_json_agree_and_name_what_is_no_picture(ask, folders):
    left_out = folders / "support" / "night" / "notes.txt", folders / "query" / "c.png"
    for path in left_out:
        path.write_bytes(b"no picture")
    (folders / "query" / ".hidden").write_text("is not looked at")
    (folders / "query" / "folder").mkdir()
    status, table, errors = ask(f"--csv={folders / 'out.csv'}", f"--json={folders / 'out.json'}")
    assert status == 0
    assert errors == [f"Left out {path}: {NO_PICTURE}" for path in left_out]
    written = json.loads((folders / "out.json").read_text())
    assert written["left_out"] == {str(path): NO_PICTURE for path in left_out}
    with open(folders / "out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = [("a.png", "night"), ("b.png", "day ü")]
    assert [(answer["file"], answer["class"]) for answer in written["answers"]] == [
        (str(folders / "query" / name), answer) for name, answer in expected
    ]
    for answer, row, line, (name, prediction) in zip(written["answers"], rows, table[1:], expected, strict=True):
        probability = answer["probabilities"][prediction]
        assert answer["probability"] == max(answer["probabilities"].values()) == probability
        assert (row["file"], row["class"], float(row["probability"])) == (answer["file"], prediction, probability)
        assert re.fullmatch(rf"{name} +{prediction} +{probability:.3f}", line)
    assert table[0].split() == ["file", "class", "probability"]


def test_familiarity_is_in_all_tables_of_a_calibrated_model(ask, folders, model):
    model.calibrated = True
    status, table, errors = ask(f"--csv={folders / 'out.csv'}", f"--json={folders / 'out.json'}")
    assert status == 0, errors
    assert [line.split()[-1] for line in table] == ["familiarity", f"{3 / 255:.3f}", f"{252 / 255:.3f}"]
    told = [answer["familiarity"] for answer in json.loads((folders / "out.json").read_text())["answers"]]
    assert told == pytest.approx([3 / 255, 252 / 255])
    with open(folders / "out.csv", newline="", encoding="utf-8") as file:
        assert [float(row["familiarity"]) for row in csv.DictReader(file)] == told


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_table_that_there_is_no_space_for_leaves_the_one_of_before(kind, ask, folders, monkeypatch):
    table = folders / f"table.{kind}"
    assert ask(f"--{kind}={table}")[0] == 0
    before = table.read_bytes()
    original = Path.open

    def nearly_full(path, mode="r", *arguments, **named):
        if "w" not in mode:
            return original(path, mode, *arguments, **named)
        original(path, mode).close()  # there is room for a name
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", nearly_full)
    status, _, errors = ask(f"--{kind}={table}")
    monkeypatch.undo()
    assert status == 1
    assert errors == [f"ml_lstm_client: {table}: No space left on device."]
    assert table.read_bytes() == before
    assert not list(folders.glob(".table*"))


# What TensorFlow's decoders say of a damaged picture does not tell which it is, nor that it was a picture.
UNREADABLE = {"refused": "has no pixels.", "damaged": "Number of channels was 0"}


@pytest.mark.parametrize("first", UNREADABLE)
@pytest.mark.parametrize("exported", ["now", "by an older version"])
def test_pictures_that_the_server_cannot_read_are_left_out(ask, folders, model, first, exported):
    if exported != "now":
        model.card = None
    (second,) = UNREADABLE.keys() - {first}
    troubles = {"support/night/0.png": first, "query/a1.png": first, "query/z.png": second}
    for name, trouble in troubles.items():
        (folders / name).write_bytes(picture(1) + trouble.encode())
    status, table, errors = ask()
    assert status == 0
    assert errors == [f"Left out {folders / name}: {UNREADABLE[trouble]}" for name, trouble in troubles.items()]
    assert [line.split("  ")[0] for line in table[1:]] == ["a.png", "b.png"]
    assert ask("--strict") == (
        1,
        [],
        [f"ml_lstm_client: {folders / 'support/night/0.png'}: {UNREADABLE[first]}"],
    )


def test_a_class_without_a_readable_picture_ends_it(ask, folders):
    (folders / "support" / "day ü" / "1.png").write_bytes(picture(1) + b"refused")
    status, table, errors = ask()
    assert (status, table) == (1, [])
    assert errors[-1] == (
        f"ml_lstm_client: {folders / 'support' / 'day ü'} has no image that the model can read: "
        "add one, or remove the folder."
    )


def test_queries_without_a_readable_picture_end_it_with_what_can_be_read(ask, folders):
    for path in (folders / "query").iterdir():
        path.write_bytes(b"no picture")
    status, table, errors = ask()
    assert (status, table) == (1, [])
    assert errors[-1] == (
        f"ml_lstm_client: {folders / 'query'} has no image that the model can read: put PNG, JPEG, GIF or BMP files "
        "there."
    )


def test_strict_stops_at_what_is_no_picture(ask, folders):
    (folders / "query" / "c.png").write_bytes(b"no picture")
    assert ask("--strict") == (1, [], [f"ml_lstm_client: {folders / 'query' / 'c.png'}: {NO_PICTURE}"])


def test_queries_are_sent_a_hundred_pictures_or_8_mib_at_a_time_after_one_adapt(ask, folders, model):
    for n in range(203):
        (folders / "query" / f"{n:03}.png").write_bytes(picture(n))
    for n in range(3):
        (folders / "query" / f"large{n}.png").write_bytes(picture(n, 3 * 2**20))
    (folders / "query" / "larger.png").write_bytes(picture(n, 9 * 2**20))
    status, table, errors = ask()
    assert (status, errors) == (0, [])
    assert [line.split("  ")[0] for line in table[1:]] == [path.name for path in sorted((folders / "query").iterdir())]
    assert [signature for _, _, signature, _ in model.requests] == ["adapt_encoded"] + ["predict_encoded"] * 5
    assert [len(inputs["query_images"]) for *_, inputs in model.requests[1:]] == [100, 100, 7, 1, 1]


def test_a_refusal_that_no_picture_is_to_blame_for_ends_it(ask, folders, model):
    for n in range(6):
        path = folders / "support" / f"more{n}" / "1.png"
        path.parent.mkdir()
        path.write_bytes(picture(n))
    assert ask() == (
        1,
        [],
        ["ml_lstm_client: The model can distinguish at most 5 classes; the support set has 8"],
    )
    # Nothing is asked picture by picture.
    assert [signature for _, _, signature, _ in model.requests] == ["adapt_encoded", "check_encoded"]


def test_the_limits_of_the_model_reach_whoever_asks_it(ask, folders, model):
    model.card["limits"] = ["Meta-trained on glyphs: on other images expect less.", "At most 5 classes."]
    status, _, errors = ask(f"--json={folders / 'out.json'}")
    assert status == 0
    assert errors == [f"Note: {limit}" for limit in model.card["limits"]]
    assert json.loads((folders / "out.json").read_text())["limits"] == model.card["limits"]


def test_the_description_of_a_model_is_its_card(connect, model):
    model.card |= {"method": "maml", "secret": 1}
    assert connect().description == {"method": "maml", "image_shape": [16, 16, 3]}


@pytest.mark.parametrize("where", ["told", "card"])
def test_the_whole_card_is_printed_or_what_the_model_describes(where, ask, connect, model):
    card = {"method": "maml", "limits": ["At most 5 classes."], "image_shape": [28, 28, 1]}
    setattr(model, where, card)
    assert connect().model_card == card
    status, printed, errors = ask("--describe")
    assert (status, json.loads("\n".join(printed)), errors) == (0, card, [])
    assert model.requests == []


def test_a_card_of_no_model_is_an_error(ask):
    status, printed, errors = ask("--describe", "--model=other")
    assert (status, printed) == (1, [])
    assert "Servable not found" in errors[0]


def test_a_model_of_an_older_version_describes_nothing_and_answers(connect, model):
    model.card = None
    client = connect()
    assert client.description == {}
    assert client.unreadable([picture(1)]) is None
    assert client.adapt_and_predict(*SUPPORT, [picture(255)])[0].prediction == "day ü"


def photograph(size=(1200, 900), orientation=6):
    """A JPEG as a phone makes it: large, and to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(noise).save(file, "JPEG", exif=exif, quality=95)
    return file.getvalue()


def test_a_photograph_is_sent_turned_and_shrunk(connect, model):
    client = connect()
    client.adapt_and_predict([photograph()], ["a"], [photograph()])
    sent = model.requests[-1][-1]
    for (contents,) in (sent["support_images"], sent["query_images"]):
        assert len(contents) < 20_000 < len(photograph()) / 20
        width, height = Image.open(io.BytesIO(contents)).size
        assert 32 <= width < 64 and width < height


def test_a_photograph_is_sent_as_it_is_to_a_model_of_unknown_size(connect, model):
    model.card = None
    connect().adapt([photograph()], ["a"])
    assert model.requests[-1][-1]["support_images"] == [photograph()]


def test_six_photographs_are_classified_where_a_request_takes_a_twentieth_of_them(ask, folders, model):
    model.most_bytes = len(photograph()) // 4
    for name in ("support/night/3.jpg", "support/day ü/3.jpg", *(f"query/{n}.jpg" for n in range(4))):
        (folders / name).write_bytes(photograph())
    status, table, errors = ask()
    assert (status, errors) == (0, [])
    assert len(table) == 7


def test_what_is_too_large_is_named_with_what_to_do(connect, model):
    model.most_bytes = 2**20
    with pytest.raises(ServingError) as refusal:
        connect().adapt([picture(1, 3 * 2**20), picture(1, 2**20)], ["a", "b"])
    assert refusal.value.code == 413
    assert "2 image(s) of 4.2 MB in total, the largest of 3.1 MB: send fewer images at once" in str(refusal.value)
    with pytest.raises(ServingError, match=r"1 image\(s\) of 3.1 MB in total, .*: shrink it"):
        connect().adapt([picture(1, 3 * 2**20)], ["a"])


@pytest.mark.parametrize("how", ["a proxy's page", "closes the connection"])
def test_a_server_that_only_turns_away_what_is_too_large_is_understood(how):
    class Proxy(RestHandler):
        def do_POST(self):
            if how == "a proxy's page":
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(413)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.rfile.read(1000)
                linger = struct.pack("ii", 1, 0)  # reset, rather than wait for what is still to come
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                self.rfile.close()
                self.close_connection = True  # or the handler's loop reads on, and says so in another test's stderr

        def finish(self):
            if how == "a proxy's page":
                super().finish()

    for url in served_over_http(Proxy):
        with RestClient(url) as client, pytest.raises(ServingError, match="the request is too large, with 1") as told:
            client.adapt([picture(1, 8 * 2**20)], ["a"])
        assert told.value.code == 413


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["support/night/3/in.png", "query/.x"], None),
        (["support/dusk/deep/in.png"], r"dusk has no image that the model can read, only folders \(deep\)"),
        (["support/__MACOSX/night/._1", "query/__MACOSX/x", "query/Thumbs.db"], None),
    ],
)
def test_folders_in_place_of_pictures_are_named(ask, folders, paths, words):
    for path in paths:
        (folders / path).parent.mkdir(parents=True, exist_ok=True)
        (folders / path).write_bytes(picture(1))
    status, table, errors = ask()
    if words:
        assert status == 1
        assert re.search(words, errors[-1])
    else:
        assert (status, len(table), errors) == (0, 3, [])


def test_a_busy_server_is_not_asked_about_each_picture(ask, model):
    model.busy = 100
    assert ask() == (1, [], ["ml_lstm_client: The queue is full."])
    assert model.busy == 95


def test_a_server_that_is_not_there_is_one_line(folders, free_address, capsys):
    with pytest.raises(SystemExit, match="1"):
        main([f"--support={folders / 'support'}", f"--query={folders / 'query'}", f"--url=http://{free_address}"])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(f"ml_lstm_client: http://{free_address} cannot be reached .*refused.*\n", captured.err)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("support/*", "has no class folder"), ("query/*", "has no file"), ("query", "is not a directory: check --query.")],
)
def test_folders_without_pictures_are_one_line(ask, folders, missing, said):
    for path in folders.glob(missing):
        path.rename(folders / f"away-{path.name}")
    status, table, errors = ask()
    assert (status, table, len(errors)) == (1, [], 1)
    assert said in errors[0]


@pytest.mark.parametrize(
    "flags",
    [
        ["--no_such_flag"],
        ["--version=1", "--label=new"],
        ["--version=new"],
        ["--timeout=0"],
        ["--url=localhost:8501"],
        ["--url=http://localhost", "--grpc=localhost:8500"],
    ],
)
def test_wrong_flags_exit_2(folders, flags):
    with pytest.raises(SystemExit, match="2"):
        main([f"--support={folders / 'support'}", f"--query={folders / 'query'}", *flags])


def test_the_snippet_of_the_readme_runs_as_it_stands(rest_server, folders):
    snippet = re.search(r"```python\n(.*?)```", (SOURCE / "README.md").read_text(), re.DOTALL)[1]
    assert snippet.count("http://localhost:8501") == 1
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n" + snippet.replace(
        "http://localhost:8501", rest_server
    )
    # The model and the folders of the walk that it names.
    (model,) = re.findall(r'model="(\w+)"', program)
    assert f"--model_base_path=models/{model}" in (SOURCE.parents[1] / "docs" / "start.md").read_text()
    for there, here in ((f'model="{model}"', 'model="few_shot"'), ("pictures/", "")):
        assert there in program
        program = program.replace(there, here)
    result = subprocess.run([sys.executable, "-c", program], cwd=folders, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert [line.split(" 0.")[0] for line in result.stdout.splitlines()] == ["query/a.png night", "query/b.png day ü"]
