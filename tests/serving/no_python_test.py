"""The export runs on TensorFlow's C++ runtime alone, by the calls that TensorFlow Serving makes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

LIBRARY = Path(tf.__file__).parent / "libtensorflow_cc.so.2"
RUNNER = Path(__file__).with_name("run_with_c_api.py")
INVALID_ARGUMENT = 3  # TF_INVALID_ARGUMENT

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="only TensorFlow for Linux has its C library so")


def to_json(value):
    array = tf.convert_to_tensor(value).numpy()
    kind = tf.as_dtype(array.dtype).as_datatype_enum
    data = [item.hex() for item in array.ravel()] if array.dtype == object else array.tobytes().hex()
    return {"type": kind, "shape": list(array.shape), "data": data}


def from_json(value):
    if value["type"] == tf.string.as_datatype_enum:
        return np.array([bytes.fromhex(item) for item in value["data"]], object).reshape(value["shape"])
    kind = tf.as_dtype(value["type"]).as_numpy_dtype
    return np.frombuffer(bytes.fromhex(value["data"]), kind).reshape(value["shape"])


@pytest.fixture
def run(exported, tmp_path):
    """Maps `(signature, inputs by name)` pairs to `(code, message, outputs by name)`, in a process of its own."""
    saved_model = SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    definitions = saved_model.meta_graphs[0].signature_def

    def answers(requests):
        wire = [
            {
                "inputs": {definitions[name].inputs[key].name: to_json(value) for key, value in inputs.items()},
                "outputs": [output.name for output in definitions[name].outputs.values()],
            }
            for name, inputs in requests
        ]
        (tmp_path / "requests.json").write_text(json.dumps(wire))
        paths = [LIBRARY, exported, tmp_path / "requests.json", tmp_path / "answers.json"]
        # -I: without this directory, the environment or a user's packages; -S: without installed ones.
        subprocess.run([sys.executable, "-I", "-S", RUNNER, *paths], check=True, timeout=300)
        for (name, _), answer in zip(requests, json.loads((tmp_path / "answers.json").read_text()), strict=True):
            keys = {output.name: key for key, output in definitions[name].outputs.items()}
            outputs = {keys[tensor]: from_json(value) for tensor, value in answer["outputs"].items()}
            yield answer["code"], answer["message"], outputs

    return answers


def test_every_signature_answers_through_the_c_api_as_in_python(run, signatures, warm_up):
    for (name, inputs), (code, message, outputs) in zip(warm_up.items(), run(list(warm_up.items())), strict=True):
        assert code == 0, message
        expected = {key: value.numpy() for key, value in signatures[name](**inputs).items()}
        assert outputs.keys() == expected.keys()
        for key, value in expected.items():
            if value.dtype == object:
                assert outputs[key].tolist() == value.tolist()
            else:
                np.testing.assert_allclose(outputs[key], value, atol=1e-5, err_msg=f"{name}: {key}")


def test_bad_requests_are_refused_in_words_and_the_next_one_is_answered(run, warm_up):
    good, encoded = warm_up["adapt_and_predict"], warm_up["adapt_and_predict_encoded"]
    bad = {
        "same length": good | {"support_labels": tf.constant(["a"])},
        "support set is empty": good | {name: good[name][:0] for name in ("support_images", "support_labels")},
        "no query": good | {"query_images": good["query_images"][:0]},
        "at most 5 classes": good
        | {"support_images": tf.zeros([6, 9, 9, 1], tf.uint8), "support_labels": tf.constant(list("abcdef"))},
        "must have 1 channel": good | {"query_images": tf.zeros([1, 9, 9, 3], tf.uint8)},
        "at least one pixel": good | {"query_images": tf.zeros([1, 9, 0, 1], tf.uint8)},
        "uint8": good | {"query_images": tf.zeros([1, 9, 9, 1])},
        "is no JPEG": encoded | {"query_images": tf.constant([b"no image"])},
    }
    requests = [("adapt_and_predict" + "_encoded" * ("JPEG" in words), inputs) for words, inputs in bad.items()]
    *refused, last = run([*requests, ("adapt_and_predict", good)])
    for words, (code, message, _) in zip(bad, refused, strict=True):
        assert code == INVALID_ARGUMENT, message
        assert words in message
    assert last[0] == 0
