"""An adaptation comes back to the export that made it, by every way that leaves it as it is, and to no other."""

import json

import keras
import numpy as np
import pytest
import requests
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_lstm.serving import export_version
from ml_lstm.serving.fingerprints import Fingerprint, settled
from ml_lstm_client import RestClient
from ml_lstm_client.client import ServingError
from ml_lstm_client.grpc_client import GrpcClient
from tests.serving.conftest import SHAPE
from tests.serving.limits_test import png

QUICKLY = settings(max_examples=300, deadline=None, derandomize=True)
FLOATS = {32: (np.float32, np.uint32), 64: (np.float64, np.uint64)}
FILES = [png(16), png(20)]


@pytest.mark.parametrize("width", FLOATS)
@QUICKLY
@given(data=st.data())
def test_what_is_settled_survives_decimals_and_a_last_bit(width, data):
    kind, bits = FLOATS[width]
    largest = float(np.finfo(kind).max) / 2
    value = data.draw(st.floats(-largest, largest, width=width))
    kept = settled(tf.constant([value], kind)).numpy()
    tiny = np.finfo(kind).tiny
    assert abs(kept[0] - value) <= max(abs(value) * 2.0**-21, tiny)
    ways = {
        "itself": kept,
        "JSON": np.array(json.loads(json.dumps(kept.tolist())), kind),
        "digits": np.array([float(f"{kept[0]:.{9 if width == 32 else 17}g}")], kind),
        "no sign of zero": kept + kind(0),
        "a bit more": (kept.view(bits) + bits(kept[0] != 0)).view(kind),
        "a bit less": (kept.view(bits) - bits(abs(kept[0]) > tiny)).view(kind),
    }
    for way, values in ways.items():
        assert settled(tf.constant(values)).numpy().tobytes() == kept.tobytes(), way


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.int32, tf.bool, tf.string])
def test_other_types_keep_every_value(dtype):
    texts = tf.constant(["0", "1", "1e-3", "-2"] if dtype.is_floating else ["0", "1", "1", "1"])
    numbers = tf.strings.to_number(texts)
    values = texts if dtype == tf.string else tf.cast(numbers, dtype)
    assert (settled(values).numpy() == values.numpy()).all()
    assert settled(tf.zeros([0, 3], dtype) if dtype != tf.string else texts[:0]).dtype == dtype


def test_a_fingerprint_is_of_values_names_types_and_shapes_and_of_one_export():
    fingerprint = Fingerprint()
    one = {"a": tf.constant([1, 2]), "b": tf.constant(["x\0", "y"])}
    others = [
        one | {"a": tf.constant([1, 3])},
        one | {"a": tf.constant([1, 2], tf.int64)},
        one | {"a": tf.constant([[1, 2]])},
        one | {"b": tf.constant(["x", "\0y"])},
        {"a": one["b"], "b": one["a"]},
        {"a": one["a"], "c": one["b"]},
        {"a": one["a"]},
    ]
    found = [fingerprint.of(each).numpy()[0] for each in [one, *others]] + [Fingerprint().of(one).numpy()[0]]
    assert len(set(found)) == len(found)
    assert fingerprint.of(dict(reversed(one.items()))).numpy()[0] == found[0]


@pytest.fixture(scope="module")
def versions(method, start_server, tmp_path_factory):
    """A server of two versions of one model, the second of the same weights, and another model."""
    directory = tmp_path_factory.mktemp("fingerprints")
    for name in ("m", "m"):
        export_version(method, SHAPE, str(directory / name), "{}")
    other = keras.models.clone_model(method)
    other.set_weights([1.01 * weights for weights in method.get_weights()])
    export_version(other, SHAPE, str(directory / "other"), "{}")
    config = " ".join(
        f'config {{ name: "{name}" base_path: "{directory / name}" model_version_policy {{ all {{}} }} }}'
        for name in ("m", "other")
    )
    (directory / "models.config").write_text(f"model_config_list {{ {config} }}")
    return start_server(f"--model_config_file={directory / 'models.config'}")


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
@pytest.mark.slow
def test_an_adaptation_of_another_version_or_model_is_refused(versions, protocol):
    def client(model, version):
        if protocol == "rest":
            return RestClient(versions.url, model, version=version)
        return GrpcClient(versions.grpc, model, version=version)

    with client("m", 1) as first, client("m", 2) as second, client("other", 1) as other:
        adaptation = first.adapt(FILES, ["a", "b"])
        assert first.predict(adaptation, FILES)
        for wrong in (second, other):
            with pytest.raises(
                ServingError, match=r"The adaptation is from another model or version, .*: adapt again\."
            ):
                wrong.predict(adaptation, FILES)


def test_an_adaptation_without_a_fingerprint_is_refused_in_words(server):
    with RestClient(server.url, "m") as client:
        adaptation = dict(client.adapt(FILES, ["a", "b"]))
        del adaptation["fingerprint"]
        with pytest.raises(ServingError, match=r"The request lacks fingerprint; it takes .*fingerprint"):
            client.predict(adaptation, FILES)


def test_what_comes_back_from_json_is_the_same(server):
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).tolist()
    url = f"{server.url}/v1/models/m:predict"

    def ask(signature, inputs):
        answer = requests.post(url, json={"signature_name": signature, "inputs": inputs}, timeout=600)
        assert answer.status_code == 200, answer.text
        return answer.json()["outputs"]

    adaptation = ask("adapt", {"support_images": images, "support_labels": ["a", "b"]})
    assert isinstance(adaptation["fingerprint"][0], str)
    assert ask("predict", adaptation | {"query_images": images})["predictions"]


def test_the_c_api_refuses_what_was_changed(run_in_c, warm_up):
    inputs = warm_up["predict"]
    changed = inputs | {"fingerprint": tf.constant(["1"])}
    (code, message, _), (good, _, _) = run_in_c([("predict", changed), ("predict", inputs)])
    assert code == tf.errors.INVALID_ARGUMENT
    assert "from another model or version" in message
    assert good == 0
