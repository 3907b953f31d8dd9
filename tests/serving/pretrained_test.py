"""A head on a pretrained network, from the weights' file to an answer by TensorFlow's C++ runtime."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow


def command(name, *flags):
    done = subprocess.run(
        [sys.executable, "-m", f"ml_lstm.{name}", *flags], capture_output=True, text=True, timeout=3000
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Trained for two meta-steps, and exported when the weights' file is gone."""
    directory = tmp_path_factory.mktemp("pretrained")
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(32, 32, 3))
    weights = directory / "mobilenet.weights.h5"
    network.save_weights(weights)
    run = f"--run_dir={directory / 'run'}"
    chosen = ["--method=meta_lstm", "--inner_steps=2", "--learner=mobilenet_v3_small", "--adapted=head"]
    size = [
        "--image_size=32",
        "--n_query=2",
        "--validation_episodes=2",
        "--meta_batch_size=2",
        "--validation_interval=2",
    ]
    begun = command("train", run, f"--pretrained={weights}", *chosen, *size, "--episodes=2")
    assert "Meta-trained for 2 episodes" in begun
    resumed = command("train", run, f"--pretrained={weights}", *chosen, *size, "--episodes=4")
    assert "Resuming from episode 2 of 4." in resumed
    weights.unlink()
    command("export", run, f"--export_dir={directory / 'm'}")
    return directory / "m" / "1"


def test_its_export_answers_through_the_c_api_as_in_python(exported, run_in_c):
    images = np.random.default_rng(0).integers(0, 256, (6, 40, 30, 1)).astype("uint8")
    inputs = {
        "support_images": tf.constant(images),
        "support_labels": tf.constant(["a", "b", "c"] * 2),
        "query_images": tf.constant(images[:3]),
    }
    ((code, message, outputs),) = run_in_c([("adapt_and_predict", inputs)])
    assert code == 0, message
    expected = tf.saved_model.load(str(exported)).signatures["adapt_and_predict"](**inputs)
    np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], atol=1e-5)
    np.testing.assert_allclose(outputs["probabilities"].sum(axis=1), 1.0, rtol=1e-5)


def test_its_adaptation_is_the_heads_parameters(exported):
    adapt = tf.saved_model.load(str(exported)).signatures["adapt"]
    shapes = {name: tensor.shape.as_list() for name, tensor in adapt.structured_outputs.items()}
    assert shapes == {
        "classes": [None],
        "parameters": [576 * 5 + 5],
        "statistics": [0],
        "class_mask": [5],
        "fingerprint": [1],
    }
