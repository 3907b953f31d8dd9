"""Fine-tuning, against gradient descent in NumPy, and the search for its learning rate and decay."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.methods import FineTuning

WAY, SIZE, FEATURES = 4, 3, 5
PROBLEM = Problem((SIZE, SIZE, 1), WAY, train_classes=7)


def linear_network():
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1), dtype="float64"),
            keras.layers.Flatten(dtype="float64"),
            keras.layers.Dense(FEATURES, dtype="float64"),
        ]
    )


def new_method(**arguments):
    keras.utils.set_random_seed(1)
    return FineTuning(linear_network(), PROBLEM, **{"dtype": "float64"} | arguments)


def images(count, seed):
    return np.random.default_rng(seed).uniform(size=(count, SIZE, SIZE, 1))


def descend(weights, batches, present, rate, decay):
    """Softmax regression on a linear layer, by hand; `present` are the classes that take part.

    Each batch is (images, labels, what each image counts in the loss).
    """
    kernel, bias, head, head_bias = weights
    for step, (x, labels, counts) in enumerate(batches):
        features = x @ kernel + bias
        logits = np.where(present, features @ head + head_bias, -np.inf)
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        d = counts[:, None] * (p - np.eye(WAY)[labels]) / len(labels)
        d_features = d @ head.T
        step_size = rate / (1 + decay * step)
        head, head_bias = head - step_size * features.T @ d, head_bias - step_size * d.sum(0)
        kernel, bias = kernel - step_size * x.T @ d_features, bias - step_size * d_features.sum(0)
    return kernel, bias, head, head_bias


@pytest.mark.parametrize(("rate", "decay", "batch_size"), [(0.5, 0.0, None), (2.0, 0.5, None), (0.5, 1.0, 2)])
def test_steps_match_numpy(rate, decay, batch_size):
    method = new_method(
        inner_steps=4, inner_batch_size=batch_size or 0, fine_tuning_rates=[rate], fine_tuning_decays=[decay]
    )
    # Class 2 is absent. By class, first examples first: 0, 1, 3, then again 1, 3.
    x, labels, order = images(5, 2), np.array([0, 1, 3, 1, 3]), [0, 1, 2, 3, 4]
    batches = [[order[(2 * step + k) % 5] for k in range(2)] for step in range(4)] if batch_size else [order] * 4
    flat = x.reshape(5, -1)
    counts = np.array([5 / 3, 5 / 6, 5 / 6, 5 / 6, 5 / 6])  # the two of a class as the only one of another
    start = *method.learner.get_weights(), np.zeros((FEATURES, WAY)), np.zeros(WAY)
    present = np.isin(np.arange(WAY), labels)
    kernel, bias, head, head_bias = descend(
        start, [(flat[b], labels[b], counts[b]) for b in batches], present, rate, decay
    )
    adaptation = method.adapt(x, labels)
    np.testing.assert_allclose(adaptation["parameters"], np.concatenate([kernel.ravel(), bias]), rtol=1e-6)
    np.testing.assert_allclose(adaptation["head_kernel"], head, rtol=1e-6, atol=1e-9)
    queries = images(6, 3)
    expected = (queries.reshape(6, -1) @ kernel + bias) @ head + head_bias
    logits = method.classify(adaptation, queries).numpy()
    np.testing.assert_allclose(logits[:, present], expected[:, present], rtol=1e-6, atol=1e-9)
    assert (logits[:, 2] < -1e8).all()


def test_order_and_names_of_classes_do_not_matter():
    method = new_method(inner_steps=3)
    x, labels, queries = images(4, 4), np.array([0, 1, 2, 3]), images(3, 5)
    order = np.array([2, 0, 3, 1])
    logits = method.classify(method.adapt(x, labels), queries).numpy()
    renamed = method.classify(method.adapt(x[order], order[labels[order]]), queries).numpy()
    np.testing.assert_allclose(renamed[:, order], logits, rtol=1e-6, atol=1e-9)


def test_tune_takes_the_best_pair_of_the_grid():
    tried = []

    class MadeUp(FineTuning):
        def evaluate(self, episodes, **_):
            tried.append((round(float(self.fine_tuning_rate), 6), round(float(self.fine_tuning_decay), 6)))
            rate, decay = tried[-1]
            return {"accuracy": {(0.1, 0.5): 0.8, (0.1, 2.0): 0.8}.get((rate, decay), 0.2)}

    method = MadeUp(linear_network(), PROBLEM, fine_tuning_rates=[0.01, 0.1, 1.0], fine_tuning_decays=[0.0, 0.5, 2.0])
    assert method.tune(None) == {"fine_tuning_rate": 0.1, "fine_tuning_decay": 0.5}
    assert tried == [(rate, decay) for rate in (0.01, 0.1, 1.0) for decay in (0.0, 0.5, 2.0)]
    assert float(method.fine_tuning_rate) == pytest.approx(0.1)
    assert float(method.fine_tuning_decay) == pytest.approx(0.5)


def test_tune_finds_the_learning_rate_that_classifies():
    method = new_method(fine_tuning_rates=[0.0, 0.5, 1e300], fine_tuning_decays=[0.0])
    method.compile(optimizer="sgd")
    x, labels = tf.constant(np.round(images(WAY, 6))), tf.range(WAY)
    # Queries that are the support set: anything but no step, and steps into infinity, gets them right.
    episodes = tf.data.Dataset.from_tensors(Episode(x, labels, x, labels)).batch(1, drop_remainder=True)
    assert method.tune(episodes)["fine_tuning_rate"] == 0.5
    assert method.evaluate(episodes, verbose=0, return_dict=True)["accuracy"] == 1.0


def test_no_training_step_moves_what_the_search_found():
    method = new_method()
    names = {variable.name for variable in method.trainable_variables}
    assert not names & {"fine_tuning_rate", "fine_tuning_decay"}
    assert {variable.name for variable in method.non_trainable_variables} >= {"fine_tuning_rate", "fine_tuning_decay"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_steps": 0}, "inner_steps must be a whole number, at least 1, got 0"),
        ({"inner_batch_size": -1}, "inner_batch_size"),
        ({"fine_tuning_rates": []}, "fine_tuning_rates"),
        ({"fine_tuning_decays": [-0.1]}, "fine_tuning_decays.*-0.1"),
    ],
)
def test_a_bad_setting_is_refused_with_the_value_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        new_method(**arguments)
