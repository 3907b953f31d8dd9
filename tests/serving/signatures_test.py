"""The exported SavedModel answers as the method does, and refuses in words."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml_lstm.serving import export_version

SHAPE = (16, 16, 1)
RANDOM = np.random.default_rng(0)
SUPPORT = RANDOM.integers(0, 256, (4, *SHAPE)).astype("uint8")
QUERIES = RANDOM.integers(0, 256, (3, *SHAPE)).astype("uint8")
NAMES = np.array(["zebra", "ape", "zebra", "ü b"])
LABELS = np.array([0, 1, 0, 2])
HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 20_000, 20_000) + b"\x08\0\0\0\0"


@pytest.fixture(scope="module")
def expected(method):
    logits = method.classify(method.adapt(SUPPORT, LABELS), QUERIES)
    return tf.nn.softmax(logits).numpy()[:, :3]


def png(image):
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0]).save(file, "png")
    return file.getvalue()


def call(signatures, name, **inputs):
    outputs = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
    return {key: value.numpy() for key, value in outputs.items()}


def check(answer, expected):
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    names = ["zebra", "ape", "ü b"]
    assert [name.decode() for name in answer["predictions"]] == [names[k] for k in expected.argmax(1)]


@pytest.mark.parametrize("suffix", ["", "_encoded"])
def test_every_signature_answers_as_the_method(signatures, expected, suffix):
    ready = (lambda images: images) if suffix == "" else (lambda images: [png(image) for image in images])
    support = {"support_images": ready(SUPPORT), "support_labels": NAMES}
    at_once = call(signatures, "adapt_and_predict" + suffix, **support, query_images=ready(QUERIES))
    check(at_once, expected)
    assert [name.decode() for name in at_once["classes"]] == ["zebra", "ape", "ü b"]
    adaptation = call(signatures, "adapt" + suffix, **support)
    check(call(signatures, "predict" + suffix, **adaptation, query_images=ready(QUERIES)), expected)


def test_serving_default_is_adapt_and_predict(signatures, expected):
    inputs = {"support_images": SUPPORT, "support_labels": NAMES, "query_images": QUERIES}
    check(call(signatures, "serving_default", **inputs), expected)


def test_pictures_of_any_size_are_resized(signatures, expected):
    double = {"support_images": SUPPORT.repeat(2, 1).repeat(2, 2), "query_images": QUERIES.repeat(2, 1).repeat(2, 2)}
    answer = call(signatures, "serving_default", **double, support_labels=NAMES)
    assert np.abs(answer["probabilities"] - expected).max() < 0.2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"support_labels": NAMES[:2]}, "same length"),
        ({"support_images": SUPPORT[:0], "support_labels": NAMES[:0]}, "support set is empty"),
        ({"query_images": QUERIES[:0]}, "no query"),
        ({"query_images": QUERIES.repeat(3, 3)}, r"must have 1 channel\(s\)"),
        ({"support_images": SUPPORT.repeat(2, 0), "support_labels": np.array(list("abcdefgh"))}, "at most 5 classes"),
    ],
)
def test_a_bad_request_is_refused_in_words(signatures, change, words):
    inputs = {"support_images": SUPPORT, "support_labels": NAMES, "query_images": QUERIES} | change
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        call(signatures, "serving_default", **inputs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"support_images": [b"no image"] * 4}, r"support_images: the image at index.*is no JPEG"),
        ({"query_images": [png(QUERIES[0]), b""]}, r"query_images: the image at index\] \[1\] \[is no JPEG"),
        ({"query_images": [HUGE]}, "20000.*20000.*at most"),
        ({"query_images": np.array([], object)}, "no query"),
        ({"support_images": np.array([], object)}, "support set is empty"),
    ],
)
def test_a_bad_request_with_picture_files_is_refused_in_words(signatures, change, words):
    inputs = {
        "support_images": [png(image) for image in SUPPORT],
        "support_labels": NAMES,
        "query_images": [png(image) for image in QUERIES],
    } | change
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        tensors = {name: tf.constant(value, tf.string) for name, value in inputs.items()}
        signatures["adapt_and_predict_encoded"](**tensors)


@pytest.mark.parametrize(
    "change", [{"support_images": SUPPORT / np.float32(255)}, {"query_images": [b"x"]}, {"support_labels": LABELS}]
)
def test_another_type_is_refused(signatures, change):
    inputs = {"support_images": SUPPORT, "support_labels": NAMES, "query_images": QUERIES} | change
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected to be a"):
        call(signatures, "serving_default", **inputs)


def test_it_runs_where_only_tensorflow_is_installed(exported, expected, tmp_path):
    np.savez(tmp_path / "in.npz", support_images=SUPPORT, query_images=QUERIES)
    script = f"""
import sys, numpy as np
sys.modules["ml_lstm"] = sys.modules["keras"] = None  # neither can be imported
import tensorflow as tf
inputs = np.load({str(tmp_path / "in.npz")!r})
names = tf.constant(["zebra", "ape", "zebra", "b"])
answer = tf.saved_model.load({str(exported)!r}).signatures["serving_default"](
    support_labels=names, **{{name: tf.constant(inputs[name]) for name in inputs.files}})
np.save({str(tmp_path / "out.npy")!r}, answer["probabilities"].numpy())
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)


def test_versions_count_up_and_leave_nothing_behind(method, exported):
    second = export_version(method, SHAPE, str(exported.parent), "{}")
    assert (exported.name, second.name) == ("1", "2")
    assert sorted(path.name for path in exported.parent.iterdir()) == ["1", "2"]
    assert (second / "assets.extra" / "model_card.json").read_text() == "{}"
