"""Images of every type mean the same to a method, and values that mean nothing are refused rather than misread."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Problem, as_unit_range
from ml_lstm.learners import conv4, without_class_head
from ml_lstm.methods import PixelNearestNeighbour, PrototypicalNetworks

SHAPE = (16, 16, 1)
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (6, *SHAPE))
FAINT = PIXELS // 2  # that an int8 holds
WIDER = ["int16", "int32", "int64", "uint16", "uint32", "uint64"]
WRONG = {
    "16 bits": (PIXELS * 257).astype("uint16"),
    "below zero": (PIXELS - 128).astype("int8"),
    "int64 beyond 255": PIXELS + 1,
    "floats up to 255": PIXELS.astype("float32"),
    "halves up to 255": PIXELS.astype("float16"),
    "standardised": (RANDOM.normal(size=PIXELS.shape) * 2).astype("float32"),
}


def method():
    return PixelNearestNeighbour(Problem(SHAPE, 3, None, [0.5], [0.3]))


def answers(support, queries):
    made = method()
    return made.classify(made.adapt(support, [0, 1, 2]), queries).numpy()


@pytest.mark.parametrize("dtype", [*WIDER, "int8"])
def test_whole_numbers_of_any_type_are_shades(dtype):
    values = FAINT if dtype == "int8" else PIXELS
    expected = answers(values[:3].astype("uint8"), values[3:].astype("uint8"))
    np.testing.assert_array_equal(answers(values[:3].astype(dtype), values[3:].astype(dtype)), expected)
    traced = tf.function(as_unit_range, autograph=False, input_signature=[tf.TensorSpec(None, dtype)])
    np.testing.assert_allclose(traced(values.astype(dtype)), values / 255, rtol=1e-6)


def test_yes_and_no_are_white_and_black():
    values = PIXELS > 127
    expected = answers(np.uint8(255 * values[:3]), np.uint8(255 * values[3:]))
    np.testing.assert_array_equal(answers(values[:3], values[3:]), expected)


@pytest.mark.parametrize("name", WRONG)
def test_values_out_of_range_are_refused_in_words(name):
    with pytest.raises(ValueError, match=r"whole numbers from 0 to 255, or float in .0, 1., got .* from .* to "):
        method().adapt(WRONG[name][:3], [0, 1, 2])


def test_text_is_refused_in_words():
    with pytest.raises(ValueError, match=r"whole numbers from 0 to 255, or float in \[0, 1\], got string"):
        as_unit_range(["a.png"])


@pytest.fixture(scope="module")
def trained():
    """A method whose loops are traced once: what stops one leaves its weights as they are."""
    keras.utils.set_random_seed(0)
    method = PrototypicalNetworks(
        without_class_head(conv4(SHAPE, 3, filters=2), 3), Problem(SHAPE, 3, None, [0.5], [0.3])
    )
    method.compile("adam")
    return method


@pytest.mark.parametrize("name", [name for name in WRONG if name != "halves up to 255"])
@pytest.mark.parametrize("loop", ["fit", "evaluate"])
def test_values_out_of_range_stop_fit_and_evaluate(name, loop, trained):
    images = WRONG[name]
    episode = images[:3], np.arange(3), images[3:], np.arange(3)
    data = tf.data.Dataset.from_tensors(episode)
    with pytest.raises(tf.errors.InvalidArgumentError, match="whole numbers from 0 to 255"):
        getattr(trained, loop)(data, verbose=0)
