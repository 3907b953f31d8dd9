"""Learners that compute in bfloat16, beside the same in float32."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm import options
from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import LEARNERS, embedding, feature_maps
from ml_lstm.methods import MetaLSTM
from ml_lstm.serving.signatures import ServingModule

SHAPE, WAY = (16, 16, 1), 3


def learner(mixed_precision, name="conv4"):
    keras.utils.set_random_seed(0)
    if mixed_precision and "ONEDNN_MAX_CPU_ISA" in os.environ:
        pytest.skip("oneDNN is held to older instructions, which may lack bfloat16")
    return LEARNERS[name](SHAPE, WAY, filters=8, mixed_precision=mixed_precision)


def pictures(count, seed):
    """One class dark, one half bright, one bright, with noise."""
    noise = np.random.default_rng(seed).uniform(0, 120, (count, *SHAPE))
    noise[1::WAY, :8] += 120
    noise[2::WAY] += 120
    return tf.constant(noise.astype("uint8"))


@pytest.mark.parametrize("name", [name for name in LEARNERS if "mixed_precision" in options.of(LEARNERS[name])])
def test_blocks_compute_in_bfloat16_between_float32_pictures_weights_and_logits(name):
    mixed, full = learner(True, name), learner(False, name)
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    assert feature_maps(mixed).output.dtype == "bfloat16"
    assert embedding(mixed).output.dtype == mixed.output.dtype == "float32"
    images = tf.cast(pictures(6, 0), tf.float32) / 255.0
    for training in (True, False):
        logits, expected = mixed(images, training=training), full(images, training=training)
        assert np.abs(logits - expected).max() < 0.1 * np.abs(expected).max()
        assert np.abs(logits - expected).max() > 0  # it is another precision


def test_the_meta_gradient_points_the_same_way():
    episodes = Episode(
        pictures(WAY, 0)[None], tf.range(WAY)[None], pictures(6, 1)[None], tf.constant([[0, 1, 2, 0, 1, 2]])
    )

    def meta_gradient(mixed_precision):
        problem = Problem(SHAPE, WAY, image_mean=0.5, image_std=0.3)
        method = MetaLSTM(learner(mixed_precision), problem, MetaLSTMCell(hidden_units=0), inner_steps=2)
        method.compile(optimizer=keras.optimizers.Adam(1e-3))
        _, _, gradients = tf.function(method.meta_gradient, autograph=False)(episodes)
        return np.concatenate([np.ravel(gradient) for gradient in gradients])

    mixed, full = meta_gradient(True), meta_gradient(False)
    assert mixed.dtype == np.float32
    # A bound from measurement: 0.85 to 0.99 over four seeds of the pictures with oneDNN, 0.84 to 0.98 without.
    assert mixed @ full > 0.75 * np.linalg.norm(mixed) * np.linalg.norm(full)


def test_a_served_classifier_answers_in_float32():
    method = MetaLSTM(learner(True), Problem(SHAPE, WAY), MetaLSTMCell(hidden_units=0), inner_steps=2)
    names = tf.constant(["dark", "half", "bright"])
    answer = ServingModule(method, SHAPE).functions["adapt_and_predict"](
        support_images=pictures(WAY, 0), support_labels=names, query_images=pictures(6, 1)
    )
    assert answer["probabilities"].dtype == tf.float32
    np.testing.assert_allclose(tf.reduce_sum(answer["probabilities"], axis=1), 1.0, rtol=1e-5)


def test_where_onednn_is_held_to_instructions_without_it_it_is_refused_in_a_sentence():
    made = "from ml_lstm.learners import conv4; conv4((16, 16, 1), 3, mixed_precision=True); print('made')"
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    process = subprocess.run([sys.executable, "-c", made], env=environment, capture_output=True, text=True)
    if process.returncode:  # a processor that has no bfloat16 itself computes it without oneDNN
        assert "ValueError: mixed_precision: oneDNN has no bfloat16" in process.stderr, process.stderr
    else:
        assert process.stdout == "made\n"
