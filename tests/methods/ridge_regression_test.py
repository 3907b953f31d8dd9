"""The ridge regression head, against scikit-learn and numeric differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import Ridge

from ml_lstm.episode import Episode, Problem
from ml_lstm.methods import RidgeRegression
from ml_lstm.methods.ridge_regression import ridge_weights
from ml_lstm.serving import export_version

FEATURES, WAY = 6, 3
PROBLEM = Problem((1, FEATURES, 1), WAY)
RANDOM = np.random.default_rng(0)
SHOTS = {"one shot": [1, 0, 2], "uneven": [2, 0, 2, 1, 2], "more than features": [*range(WAY)] * 5}
QUERIES = RANDOM.uniform(size=(9, 1, FEATURES, 1))


def new_method(dtype="float64", **options):
    layers = [keras.layers.Flatten(dtype=dtype)]
    learner = keras.Sequential([keras.Input((1, FEATURES, 1), dtype=dtype), *layers])
    return RidgeRegression(learner, PROBLEM, dtype=dtype, **options)


def images(count):
    return np.random.default_rng(count).uniform(size=(count, 1, FEATURES, 1))


@pytest.mark.parametrize("shots", SHOTS)
@pytest.mark.parametrize("ridge", [1.0, 0.03])
def test_scores_are_those_of_scikit_learn(shots, ridge):
    labels = np.array(SHOTS[shots])
    support, method = images(len(labels)), new_method(initial_ridge=ridge, initial_scale=7.0)
    method.offset.assign(0.5)
    # Its penalty is weighed against the sum of squares, and would leave out an intercept of its own.
    theirs = Ridge(alpha=len(labels) * ridge, fit_intercept=False)
    with_ones = [np.pad(x.reshape(-1, FEATURES), [(0, 0), (0, 1)], constant_values=1) for x in (support, QUERIES)]
    theirs.fit(with_ones[0], np.eye(WAY)[labels])
    adaptation = method.adapt(support, labels)
    # What Keras starts a weight from has passed through float32.
    np.testing.assert_allclose(adaptation["kernel"], theirs.coef_.T[:-1], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(adaptation["bias"], theirs.coef_.T[-1], rtol=1e-6)
    logits = method.classify(adaptation, QUERIES)
    np.testing.assert_allclose(logits, 7.0 * theirs.predict(with_ones[1]) + 0.5, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("examples", [4, 9])
def test_the_gradient_through_the_solution_is_that_of_numeric_differences(examples):
    inputs, targets = RANDOM.normal(size=(examples, FEATURES)), RANDOM.normal(size=(examples, WAY))
    found, expected = tf.test.compute_gradient(ridge_weights, [inputs, targets, np.float64(0.3)], delta=1e-5)
    for one, other in zip(found, expected, strict=True):
        assert np.abs(other).max() > 1e-3
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("examples", [4, 9])
def test_both_systems_of_equations_have_one_solution_and_a_graph_takes_the_smaller(examples):
    inputs, targets = RANDOM.normal(size=(examples, FEATURES)), RANDOM.normal(size=(examples, WAY))
    ridge = tf.constant(0.3, tf.float64)
    left = inputs.T @ inputs + examples * 0.3 * np.eye(FEATURES)
    expected = np.linalg.solve(left, inputs.T @ targets)
    signature = [tf.TensorSpec(shape, tf.float64) for shape in ([None, FEATURES], [None, WAY], [])]
    any_number = tf.function(ridge_weights, input_signature=signature)
    np.testing.assert_allclose(ridge_weights(inputs, targets, ridge), expected, rtol=1e-9)
    np.testing.assert_allclose(any_number(inputs, targets, ridge), expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("examples", [4, 60])
def test_examples_that_are_nearly_one_another_and_no_ridge_to_speak_of_do_not_break_float32(scale, examples):
    """The Gram matrix has rank 2 but for rounding, and is far from positive definite without help."""
    labels = np.arange(examples) % 2
    inputs = scale * RANDOM.uniform(size=(2, 40))[labels].astype("float32")
    inputs = tf.constant(inputs * (1 + 1e-6 * RANDOM.normal(size=inputs.shape)).astype("float32"))
    targets = tf.one_hot(labels, 2)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        weights = ridge_weights(inputs, targets, tf.constant(1e-30))
        values = tf.matmul(inputs, weights)
        loss = tf.reduce_sum(tf.square(values))
    np.testing.assert_allclose(values, targets, atol=0.05)
    assert np.isfinite(tape.gradient(loss, inputs)).all()


def test_features_in_bfloat16_are_solved_in_float32():
    layers = [keras.layers.Flatten(dtype="bfloat16")]
    method = RidgeRegression(keras.Sequential([keras.Input((1, FEATURES, 1)), *layers]), PROBLEM)
    labels = np.array(SHOTS["uneven"])
    adaptation = method.adapt(images(5).astype("float32"), labels)
    assert {tensor.dtype for tensor in adaptation.values()} == {tf.float32}
    exact = new_method().adapt(images(5), labels)
    np.testing.assert_allclose(adaptation["kernel"], exact["kernel"], atol=0.01)
    assert method.classify(adaptation, QUERIES.astype("float32")).dtype == tf.float32


def test_an_adaptation_is_of_one_size_whatever_the_shots():
    method = new_method()
    shapes = [
        {name: tuple(tensor.shape) for name, tensor in method.adapt(images(len(labels)), labels).items()}
        for labels in SHOTS.values()
    ]
    assert shapes == [{"kernel": (FEATURES, WAY), "bias": (WAY,), "class_mask": (WAY,)}] * 3


def test_an_export_answers_for_any_number_of_classes_and_shots(tmp_path):
    """More classes than in the problem, and more examples than features, which is the other system of equations."""
    method = new_method("float32")
    signatures = tf.saved_model.load(str(export_version(method, (1, FEATURES, 1), str(tmp_path), "{}"))).signatures
    for labels in ([0, 1], [0, 0, 1, 2], [*range(2 * WAY)] * 5):
        support, queries = (
            np.random.default_rng(seed).integers(0, 256, (count, 1, FEATURES, 1)).astype("uint8")
            for seed, count in ((1, len(labels)), (2, 9))
        )
        expected = tf.nn.softmax(method.classify(method.adapt(support, labels), queries))
        answer = signatures["serving_default"](
            support_images=tf.constant(support),
            support_labels=tf.constant([f"class {label}" for label in labels]),
            query_images=tf.constant(queries),
        )
        assert answer["probabilities"].shape == (9, max(labels) + 1)
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


def test_ridge_and_scale_are_learned():
    method = new_method()
    method.compile(optimizer=keras.optimizers.SGD(1.0))
    labels = tf.constant(SHOTS["one shot"])
    episode = Episode(images(3), labels, images(3) + 0.1, labels)
    method.fit(tf.data.Dataset.from_tensors(episode), verbose=0)
    assert abs(method.log_ridge.numpy()) > 1e-3
    assert abs(method.scale.numpy() - 10) > 1e-3


@pytest.mark.parametrize("option", ["initial_ridge", "initial_scale"])
def test_a_ridge_or_scale_that_is_not_positive_is_refused(option):
    with pytest.raises(ValueError, match=rf"{option} must be positive and finite, got 0\."):
        new_method(**{option: 0})
