"""The same support set and queries get the same answers from the method and by every way into its export."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml_lstm_client import RestClient
from ml_lstm_client.grpc_client import GrpcClient

RANDOM = np.random.default_rng(1)
SUPPORT = RANDOM.integers(0, 256, (6, 16, 16, 1)).astype("uint8")
QUERIES = RANDOM.integers(0, 256, (9, 16, 16, 1)).astype("uint8")
NAMES = ["zebra", "ape", "zebra", "ü b", "ape", "zebra"]
CLASSES = ["ape", "zebra", "ü b"]  # sorted


def png(image):
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0]).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def expected(method):
    labels = np.array([CLASSES.index(name) for name in NAMES])
    logits = method.classify(method.adapt(SUPPORT, labels), QUERIES)
    return tf.nn.softmax(logits).numpy()[:, :3]


@pytest.fixture(params=["saved_model", "rest", "grpc"])
def call(request, signatures):
    """Calls a signature by one of the ways; returns the outputs as lists or arrays, strings as `str`."""
    if request.param == "rest":
        rest = request.getfixturevalue("rest")

        def by_rest(signature, inputs):
            status, answer = rest(signature, inputs)
            assert status == 200, answer
            return answer["outputs"]

        return by_rest
    if request.param == "grpc":
        ask = request.getfixturevalue("grpc_predict")
    else:

        def ask(signature, inputs):
            outputs = signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
            return {name: value.numpy() for name, value in outputs.items()}

    def by_arrays(signature, inputs):
        outputs = ask(signature, {name: _strings_as_objects(value) for name, value in inputs.items()})
        return {
            name: [item.decode() for item in value] if value.dtype == object else value
            for name, value in outputs.items()
        }

    return by_arrays


def _strings_as_objects(value):
    if isinstance(value, list):
        return np.array([item.encode() if isinstance(item, str) else item for item in value], object)
    return value


@pytest.mark.parametrize("suffix", ["", "_encoded"])
@pytest.mark.parametrize("steps", [["adapt_and_predict"], ["adapt", "predict"]], ids=["at once", "adapt, then predict"])
def test_every_way_gives_the_methods_answers(call, expected, suffix, steps):
    support, queries = SUPPORT, QUERIES
    if suffix:
        support, queries = ([png(image) for image in images] for images in (SUPPORT, QUERIES))
    inputs = {"support_images": support, "support_labels": NAMES}
    if len(steps) == 2:
        inputs = call("adapt" + suffix, inputs)
    answer = call(steps[-1] + suffix, inputs | {"query_images": queries})
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5, rtol=0)
    assert answer["predictions"] == [CLASSES[index] for index in expected.argmax(1)]


def test_the_answers_differ_between_queries(expected):
    """Else the tests above would show nothing."""
    assert np.ptp(expected, axis=0).min() > 1e-3


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_the_client_library_learns_what_the_model_says_of_itself_and_cannot_read(server, protocol):
    client = RestClient(server.url, "m") if protocol == "rest" else GrpcClient(server.grpc, "m")
    with client:
        assert client.description == {"method": "meta_lstm", "image_shape": [16, 16, 1], "most_classes": 5}
        files = [png(image) for image in QUERIES]
        assert client.unreadable([files[0], files[1][:60], files[2], b"BM"]) == [1, 3]
        assert client.unreadable(files) == []


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_the_client_library_gives_the_methods_answers(server, expected, protocol):
    support, queries = ([png(image) for image in images] for images in (SUPPORT, QUERIES))
    client = RestClient(server.url, "m") if protocol == "rest" else GrpcClient(server.grpc, "m")
    with client:
        at_once = client.adapt_and_predict(support, NAMES, queries)
        adaptation = client.adapt(support, NAMES)
        in_parts = client.predict(adaptation, queries[:4]) + client.predict(adaptation, queries[4:])
    for answers in (at_once, in_parts):
        assert [list(answer.probabilities) for answer in answers] == [CLASSES] * 9
        got = [list(answer.probabilities.values()) for answer in answers]
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
        assert [answer.prediction for answer in answers] == [CLASSES[index] for index in expected.argmax(1)]
