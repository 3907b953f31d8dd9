"""Bad requests get a sentence from the bare SavedModel, by REST and by gRPC, and the next one is answered."""

import io
import struct

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT.value[0]
RANDOM = np.random.default_rng(0)
SUPPORT = RANDOM.integers(0, 256, (4, 16, 16, 1)).astype("uint8")
QUERIES = RANDOM.integers(0, 256, (3, 16, 16, 1)).astype("uint8")
NAMES = ["zebra", "ape", "zebra", "ü b"]
HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 20_000, 20_000) + b"\x08\0\0\0\0"


def png(image):
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0]).save(file, "png")
    return file.getvalue()


RAW = {"support_images": SUPPORT, "support_labels": NAMES, "query_images": QUERIES}
FILES = {
    "support_images": [png(image) for image in SUPPORT],
    "support_labels": NAMES,
    "query_images": [png(image) for image in QUERIES],
}
SIX = {"support_images": SUPPORT[[0, 1, 2, 3, 0, 1]], "support_labels": list("abcdef")}
NO_FILES = np.array([], object)
# What differs from a good request, and the words of the answer.
BAD = {
    "lengths that differ": ({"support_labels": NAMES[:2]}, "same length"),
    "empty support": ({"support_images": SUPPORT[:0], "support_labels": NO_FILES}, "support set is empty"),
    "empty query": ({"query_images": QUERIES[:0]}, "no queries"),
    "too many classes": (SIX, "at most 5 classes"),
    "three channels": ({"query_images": QUERIES.repeat(3, 3)}, "must have 1 channel"),
    "no pixel": ({"query_images": QUERIES[:, :, :0]}, "at least one pixel"),
    "numbers for images": ({"query_images": QUERIES / np.float32(510)}, "uint8"),
    "numbers for labels": ({"support_labels": np.array([0, 1, 0, 2])}, "string"),
    "files for arrays": ({"query_images": FILES["query_images"]}, "uint8"),
}
BAD_FILES = {
    "lengths that differ": ({"support_labels": NAMES[:2]}, "same length"),
    "empty support": ({"support_images": NO_FILES, "support_labels": NO_FILES}, "support set is empty"),
    "empty query": ({"query_images": NO_FILES}, "no queries"),
    "too many classes": (
        {"support_images": [png(image) for image in SIX["support_images"]], "support_labels": list("abcdef")},
        "at most 5 classes",
    ),
    "no image": ({"query_images": [FILES["query_images"][0], b"no image"]}, "is not a JPEG, PNG, BMP or GIF"),
    "no byte": ({"support_images": [b"", *FILES["support_images"][1:]]}, "is not a JPEG, PNG, BMP or GIF"),
    "a cut file": ({"query_images": [FILES["query_images"][0][:60]]}, "image at index 0 is damaged"),
    "a header of 20,000 x 20,000": ({"query_images": [HUGE]}, "at most 16777216 pixels"),
    "numbers for files": ({"query_images": np.array([1, 2])}, "string"),
}
CASES = [("adapt_and_predict", name, RAW | change, words) for name, (change, words) in BAD.items()]
CASES += [("adapt_and_predict_encoded", name, FILES | change, words) for name, (change, words) in BAD_FILES.items()]
each_case = pytest.mark.parametrize(
    ("signature", "inputs", "words"), [(s, i, w) for s, _, i, w in CASES], ids=[f"{s}: {n}" for s, n, _, _ in CASES]
)


def arrays(inputs):
    """Lists as the arrays of `bytes` or of numbers that TensorFlow's own interfaces take."""
    return {
        name: np.array([item.encode() if isinstance(item, str) else item for item in value], object)
        if isinstance(value, list)
        else value
        for name, value in inputs.items()
    }


def test_the_bare_saved_model_refuses_in_words_and_answers_the_next_request(run_in_c):
    requests = [
        (signature, {name: tf.constant(value) for name, value in arrays(inputs).items()})
        for signature, _, inputs, _ in CASES
    ]
    requests += [("adapt_and_predict", RAW), ("adapt_and_predict_encoded", FILES)]
    *refused, raw, files = run_in_c(requests)
    for (_, name, _, words), (code, message, _) in zip(CASES, refused, strict=True):
        assert code == INVALID_ARGUMENT, (name, message)
        # Of a damaged file it does not say which one it is: the server asks it.
        assert (words if name != "a cut file" else "Invalid PNG data") in message, name
    assert raw[0] == files[0] == 0


@each_case
def test_rest_refuses_in_words_and_answers_the_next_request(rest, signature, inputs, words):
    status, answer = rest(signature, inputs)
    assert status == 400
    assert answer.keys() == {"error"}
    assert words in answer["error"]
    assert "[" not in answer["error"] or "must be" in answer["error"]  # no traces of the graph
    assert rest("adapt_and_predict", RAW)[0] == 200


@each_case
def test_grpc_refuses_in_words_and_answers_the_next_request(grpc_predict, signature, inputs, words):
    with pytest.raises(grpc.RpcError) as error:
        grpc_predict(signature, arrays(inputs))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert words in error.value.details()
    assert grpc_predict("adapt_and_predict", arrays(RAW))["probabilities"].shape == (3, 3)


def test_an_unreadable_image_is_named_by_its_index(rest):
    assert (
        "query_images: the image at index 1 is not a JPEG"
        in rest("adapt_and_predict_encoded", FILES | BAD_FILES["no image"][0])[1]["error"]
    )
