"""The exported SavedModel answers as the method does, and refuses in words."""

import io
import shutil
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
    subprocess.run([sys.executable, "-c", script], check=True, timeout=1200)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)


def test_versions_count_up_and_leave_nothing_behind(method, exported, tmp_path):
    shutil.copytree(exported, tmp_path / "1")
    second = export_version(method, SHAPE, str(tmp_path), "{}")
    assert second.name == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    assert (second / "assets.extra" / "model_card.json").read_text() == "{}"
