"""What an export tells of how it learned, as arrays and files, by both protocols, and what it refuses."""

import io

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

SHAPE = (16, 16, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype("uint8")
NAMES = ["zebra", "ape", "zebra", "ü b", "ape"]
TOLD = ("losses", "input_gates", "forget_gates")


def png(image):
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0]).save(file, "png")
    return file.getvalue()


INPUTS = {
    "explain": {"support_images": IMAGES, "support_labels": NAMES},
    "explain_encoded": {"support_images": [png(image) for image in IMAGES], "support_labels": NAMES},
}


@pytest.fixture(scope="module")
def expected(method):
    return {
        name: value.numpy() for name, value in method.explain(IMAGES, np.unique(NAMES, return_inverse=True)[1]).items()
    }


def check(outputs, expected):
    assert {*outputs} == {"classes", "layers", *TOLD}
    for name in TOLD:
        np.testing.assert_allclose(outputs[name], expected[name], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("signature", INPUTS)
def test_an_export_tells_what_the_method_does(signatures, expected, signature):
    outputs = signatures[signature](**{name: tf.constant(value) for name, value in INPUTS[signature].items()})
    check(outputs, expected)
    assert [name.decode() for name in outputs["classes"].numpy()] == ["ape", "zebra", "ü b"]
    assert outputs["layers"].numpy().tolist() == expected["layers"].tolist()
    assert [outputs[name].shape for name in TOLD] == [(3,), (2, 5), (2, 5)]


@pytest.mark.parametrize("signature", INPUTS)
def test_rest_and_grpc_tell_it_too(rest, grpc_predict, expected, signature):
    status, answer = rest(signature, INPUTS[signature])
    assert status == 200
    check(answer["outputs"], expected)
    assert answer["outputs"]["classes"] == ["ape", "zebra", "ü b"]
    assert answer["outputs"]["layers"] == [name.decode() for name in expected["layers"]]
    check(grpc_predict(signature, INPUTS[signature]), expected)


REFUSED = [
    ({"support_labels": NAMES[:3]}, "must have the same length; they have 5 3"),
    ({"support_images": [b"no picture"], "support_labels": ["a"]}, "the image at index 0 "),
    ({"support_images": [png(IMAGES[0])] * 6, "support_labels": [*"abcdef"]}, "at most 5 classes"),
    ({"support_images": [png(IMAGES[0])] * 1001, "support_labels": ["a"] * 1001}, "at most 1000 in one"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_it_refuses_what_adapt_refuses_in_the_same_words(rest, grpc_predict, changes, words):
    inputs = INPUTS["explain_encoded"] | changes
    status, answer = rest("explain_encoded", inputs)
    assert (status, answer) == rest("adapt_encoded", inputs)
    assert status == 400
    assert words in answer["error"]
    with pytest.raises(grpc.RpcError, match=words) as refused:
        grpc_predict("explain_encoded", inputs)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
