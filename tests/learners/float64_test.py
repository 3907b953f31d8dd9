"""A learner in float64 makes a method that computes in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm import options
from ml_lstm.cells import CELLS
from ml_lstm.episode import Problem
from ml_lstm.learners import EpisodicBatchNormalization
from ml_lstm.methods import METHODS

SHAPE, WAY = (16, 16, 1), 3
PROBLEM = Problem(SHAPE, WAY, 4, [0.5], [0.25])
WITH_LEARNER = [name for name, method in METHODS.items() if "learner" in options.parts(method)]


def learner():
    exact = {"dtype": "float64"}
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(SHAPE, **exact),
            layers.Conv2D(4, 3, strides=2, **exact),
            EpisodicBatchNormalization(**exact),
            layers.Activation("tanh", **exact),
            layers.Conv2D(4, 3, strides=2, **exact),
            layers.Flatten(**exact),
            layers.Dense(WAY, name="head", **exact),
        ]
    )


@pytest.mark.slow_unless(name=["meta_lstm", "prototypical", "mann"])
@pytest.mark.parametrize("name", WITH_LEARNER)
def test_it_adapts_classifies_and_trains(name):
    kind = options.target(METHODS[name])
    method = METHODS[name](kind.body_of(learner()), PROBLEM)
    assert {weight.dtype for weight in method.trainable_weights} == {"float64"}
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (WAY, *SHAPE)), tf.uint8)
    labels = tf.range(WAY)
    logits = method.classify(method.adapt(images, labels), images)
    assert logits.dtype == tf.float64
    assert np.isfinite(logits).all()
    method.compile(optimizer=method.make_optimizer(1), run_eagerly=True)
    trained_on = (images, labels) if "batch_size" in options.of(METHODS[name]) else (images, labels, images, labels)
    batch = tuple(tensor[None] for tensor in trained_on)
    history = method.fit(tf.data.Dataset.from_tensors(batch), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert type(method).from_config(method.get_config()).compute_dtype == "float64"


def test_a_cell_with_other_weights_is_refused_in_words():
    with pytest.raises(ValueError, match=r"weights in float32, and the learner in float64: create the cell with dtype"):
        METHODS["meta_lstm"](learner(), PROBLEM, CELLS["meta_lstm"]())
