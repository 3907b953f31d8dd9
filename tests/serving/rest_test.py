"""The REST interface of the local server is TensorFlow Serving's, and survives what is no request."""

import base64
import contextlib
import json
import os
import re
import socket
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

RANDOM = np.random.default_rng(2)
IMAGES = RANDOM.integers(0, 256, (3, 16, 16, 1)).astype("uint8").tolist()
GOOD = {"support_images": IMAGES, "support_labels": ["a", "b", "c"], "query_images": IMAGES}


@pytest.fixture
def post(server):
    def post(body, path="m:predict", **options):
        data = body if isinstance(body, bytes) else json.dumps(body)
        return requests.post(f"{server.url}/v1/models/{path}", data=data, timeout=600, **options)

    return post


@pytest.fixture
def get(server):
    return lambda path: requests.get(server.url + path, timeout=600)


@pytest.fixture(autouse=True)
def goes_on(post):
    """After whatever a test sent, the server answers."""
    yield
    assert post({"inputs": GOOD}).status_code == 200


def test_status_has_tensorflow_servings_form(get):
    expected = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert get("/v1/models/m").json() == {"model_version_status": [expected]}
    assert get("/v1/models/m/versions/1").json() == {"model_version_status": [expected]}


def test_metadata_has_tensorflow_servings_form(get):
    answer = get("/v1/models/m/metadata").json()
    assert answer["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert answer["metadata"]["model_card"] == {"method": "meta_lstm"}
    names = {"adapt", "predict", "adapt_and_predict"}
    assert names | {f"{name}_encoded" for name in names} | {"serving_default"} <= signatures.keys()
    images = signatures["adapt"]["inputs"]["support_images"]
    assert images["dtype"] == "DT_UINT8"
    assert images["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}] * 4, "unknown_rank": False}


def test_the_signature_is_serving_default_unless_named(post):
    answers = [post({"inputs": GOOD} | name).json() for name in ({}, {"signature_name": "adapt_and_predict"})]
    assert answers[0]["outputs"].keys() == {"classes", "predictions", "probabilities"}
    np.testing.assert_allclose(
        answers[0]["outputs"]["probabilities"], answers[1]["outputs"]["probabilities"], atol=1e-5
    )


def test_a_version_may_be_named(post):
    assert post({"inputs": GOOD}, "m/versions/1:predict").status_code == 200


def test_rows_are_answered_by_rows(post):
    rows = [{name: values[index] for name, values in GOOD.items()} for index in range(3)]
    by_row, by_column = post({"instances": rows}).json(), post({"inputs": GOOD}).json()["outputs"]
    assert [row["predictions"] for row in by_row["predictions"]] == by_column["predictions"]
    for index, row in enumerate(by_row["predictions"]):
        assert row.keys() == {"classes", "predictions", "probabilities"}
        np.testing.assert_allclose(row["probabilities"], by_column["probabilities"][index], atol=1e-6)


def test_rows_whose_answers_differ_in_number_are_refused(post):
    rows = [{name: values[index] for name, values in GOOD.items()} for index in range(3)]
    for row in rows:
        row["support_labels"] = "a"
    answer = post({"instances": rows})
    assert answer.status_code == 400
    assert "differ in length" in answer.json()["error"]


def test_names_that_are_no_text_come_back_as_they_went(post):
    name = {"b64": base64.b64encode(b"\xff\0name").decode()}
    answer = post({"inputs": GOOD | {"support_labels": [name, "b\0", "ü"]}}).json()["outputs"]
    assert answer["classes"] == ["b\0", "ü", name]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("other:predict", 404, "no model 'other': this server has m"),
        ("m/versions/7:predict", 404, "no version 7"),
        ("m/versions/99999999999999999999:predict", 404, "There is nothing at"),
        ("m/labels/stable:predict", 404, "no label 'stable'"),
        ("m:classify", 400, ":predict only"),
        ("m:train", 404, "There is nothing at"),
        ("m", 404, "There is nothing at"),
        ("", 404, "There is nothing at"),
    ],
)
def test_what_is_not_there_is_told(post, path, status, words):
    answer = post({"inputs": GOOD}, path)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/models/m:predict", 405), ("/v1/models/m/versions/2", 404), ("/v1/models/other/metadata", 404), ("/v2", 404)],
)
def test_what_cannot_be_got_is_told(get, path, status):
    answer = get(path)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"[1]", "must be a JSON object"),
        ({"inputs": GOOD, "instances": []}, "either"),
        ({"instances": []}, "at least one row"),
        ({"instances": {}}, "at least one row"),
        ({"instances": [GOOD, {}]}, "same names"),
        ({"inputs": [1]}, "must be an object"),
        ({"inputs": GOOD, "signature_name": 3}, "must be a string"),
        ({"inputs": GOOD, "signature_name": "train"}, "Unknown signature 'train'; the model has adapt, "),
        ({"inputs": {"support_images": IMAGES}}, "lacks query_images, support_labels; it takes"),
        ({"inputs": GOOD | {"labels": []}}, "does not take labels; it takes"),
        ({"inputs": GOOD | {"query_images": [[1, 2], [3]]}}, "query_images must be an array of uint8"),
        ({"inputs": GOOD | {"query_images": None}}, "query_images must be an array of uint8"),
        ({"inputs": GOOD | {"query_images": [[[[256]]]]}}, "values must be from 0 to 255"),
        ({"inputs": GOOD | {"query_images": [[[[-1]]]]}}, "values must be from 0 to 255"),
        ({"inputs": GOOD | {"query_images": [[[[0.5]]]]}}, "a value has another type"),
        ({"inputs": GOOD | {"query_images": [[[[True]]]]}}, "a value has another type"),
        ({"inputs": GOOD | {"query_images": [[[[10**30]]]]}}, "query_images must be an array of uint8"),
        ({"inputs": GOOD | {"query_images": [[1]]}}, "query_images must be uint8 [?, ?, ?, ?]; got uint8 [1, 1]"),
        ({"inputs": GOOD | {"support_labels": ["a", {"b64": "?"}, "c"]}}, "not base64"),
        ({"inputs": GOOD | {"support_labels": ["a", ["b"], "c"]}}, "neither a string nor"),
    ],
)
def test_a_malformed_request_is_refused_in_words(post, body, words):
    answer = post(body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_numbers_that_are_no_numbers_are_refused(post):
    adaptation = post({"signature_name": "adapt", "inputs": {k: v for k, v in GOOD.items() if "query" not in k}}).json()
    inputs = adaptation["outputs"] | {"query_images": IMAGES}
    assert post({"signature_name": "predict", "inputs": inputs}).status_code == 200
    inputs["parameters"][0] = 1e300
    answer = post({"signature_name": "predict", "inputs": inputs})
    assert answer.status_code == 400
    assert "parameters must be an array of float32: values must be finite" in answer.json()["error"]


@pytest.mark.parametrize(
    "garbage",
    [
        os.urandom(10_000_000),
        b"[" * 10_000_000,
        b'{"inputs":' * 1_000_000,
        b"[]," * 3_333_333,
        b'"' + b"\\u0000" * 1_600_000,
    ],
    ids=["random", "brackets", "objects", "empty lists", "an endless string"],
)
def test_ten_megabytes_of_garbage_are_refused(post, garbage):
    answer = post(garbage)
    assert answer.status_code == 400
    assert re.search("not valid JSON|more than 1000000 lists|more than 100000 names", answer.json()["error"])


@pytest.mark.parametrize(
    ("header", "sent", "size"),
    [
        (b"Content-Length: 16777217", b"{", "16777217 bytes"),
        (b"Transfer-Encoding: chunked", b"1000001\r\n" + b" " * 0x1000001, "more than 16777216 bytes"),
    ],
    ids=["announced", "in chunks"],
)
def test_a_body_over_the_limit_is_refused_with_its_size_the_limit_and_what_to_do(server, header, sent, size):
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=600) as connection:
        connection.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
        # The server need not read on once it knows.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(2**16) or pytest.fail(f"no answer: {answer}")
    assert answer.startswith(b"HTTP/1.1 413 ")
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error.startswith(f"The request is too large: its body has {size}, and this server takes at most 16777216.")
    assert "Send fewer or smaller images at once" in error
    assert "--max_request_bytes" in error


def test_a_compressed_body_is_refused(post):
    assert post(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}).status_code == 415


@pytest.mark.parametrize(
    "sent", [b"NONSENSE\r\n\r\n", b"POST /v1/models/m:predict HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"]
)
def test_callers_that_leave_midway_do_no_harm(server, sent):
    address = urlsplit(server.url)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(sent)


def test_answers_do_not_wait_for_the_callers_acknowledgement(server):
    """Without TCP_NODELAY every second answer on a connection comes 40 ms late."""
    with requests.Session() as session:
        seconds = []
        for _ in range(20):
            started = time.perf_counter()
            session.post(f"{server.url}/v1/models/m:predict", data=b"{}", timeout=600)
            seconds.append(time.perf_counter() - started)
    assert np.median(seconds) < 0.03


def test_metrics_count_requests_and_tell_versions(get, post):
    line = 'ml_lstm_requests_total{model="m",protocol="REST",signature="serving_default",status="200"} '

    def count():
        return float(get("/metrics").text.split(line)[1].split("\n")[0])

    assert post({"inputs": GOOD}).status_code == 200
    before = count()
    post({"inputs": GOOD})
    assert count() == before + 1
    text = get("/metrics").text
    assert 'ml_lstm_model_version_available{model="m",version="1"} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_a_request_is_one_line_of_the_log_whatever_its_words(server, post):
    before = server.log.read_text()
    post({"inputs": GOOD | {"query_images": IMAGES[:1]}})
    assert "m/1 serving_default" in server.line("REST POST /v1/models/m:predict 200 .* 4 images", before)
    post({"inputs": GOOD, "signature_name": "two\nlines\x1b[2J"})
    assert server.line("two.*lines").count("\x1b") == 0
    assert " 400 " in server.line("two.*lines")
