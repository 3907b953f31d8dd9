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
CLASSES = ["ape", "zebra", "ü b"]  # sorted
LABELS = np.array([1, 0, 1, 2])


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
    assert [name.decode() for name in answer["predictions"]] == [CLASSES[k] for k in expected.argmax(1)]


@pytest.mark.parametrize("suffix", ["", "_encoded"])
def test_every_signature_answers_as_the_method(signatures, expected, suffix):
    ready = (lambda images: images) if suffix == "" else (lambda images: [png(image) for image in images])
    support = {"support_images": ready(SUPPORT), "support_labels": NAMES}
    at_once = call(signatures, "adapt_and_predict" + suffix, **support, query_images=ready(QUERIES))
    check(at_once, expected)
    assert [name.decode() for name in at_once["classes"]] == CLASSES
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
names = tf.constant(["zebra", "ape", "zebra", "zoo"])
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


def damaged(kind):
    """A file whose beginning promises a picture, and whose end does not keep the promise."""
    file = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (40, 40)).astype("uint8")).save(file, kind)
    contents = file.getvalue()
    return contents[: len(contents) // 2]


def with_wrong_bits():
    file = io.BytesIO()
    Image.fromarray(QUERIES[0, :, :, 0]).save(file, "bmp")
    return file.getvalue()[:28] + b"\x10" + file.getvalue()[29:]


UNREADABLE = {kind: damaged(kind) for kind in ("png", "jpeg", "bmp", "gif")}
UNREADABLE |= {
    "no bytes": b"",
    "text": b"no picture",
    "png's beginning": b"\x89PNG\r\n\x1a\n",
    "bits": with_wrong_bits(),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_told_by_its_index(signatures, name):
    files = [png(image) for image in QUERIES]
    checked = call(signatures, "check_encoded", query_images=[files[0], UNREADABLE[name], files[1], UNREADABLE[name]])
    assert checked["readable"].tolist() == [True, False, True, False]
    assert checked["unreadable"].tolist() == [1, 3]


def test_what_can_be_read_is_told_too(signatures):
    checked = call(signatures, "check_encoded", query_images=[png(image) for image in QUERIES])
    assert checked["readable"].all()
    assert not checked["unreadable"].size


def test_the_model_describes_itself(signatures):
    described = call(
        signatures, "describe", fields=["method", "image_shape", "most_classes", "no such field", "method"]
    )
    values = ['"meta_lstm"', "[16, 16, 1]", "5", "null", '"meta_lstm"']
    assert [value.decode() for value in described["values"]] == values
    assert described["fields"].tolist()[1] == b"image_shape"


def test_few_fields_are_described_at_once(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 64 names"):
        signatures["describe"](fields=tf.constant(["flags"] * 65))
