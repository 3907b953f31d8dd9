"""Classes are numbered by their names: in which order a request lists them changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml_lstm.episode import Problem
from ml_lstm.learners import conv4, embedding
from ml_lstm.methods import METHODS
from ml_lstm.serving.answers import Answers
from ml_lstm.serving.class_numbers import numbered

SHAPE = (16, 16, 1)
NAMES = np.array(["zebra", "ape", "mole", "zebra", "ape", "zebra"])
RANDOM = np.random.default_rng(0)
SUPPORT = RANDOM.uniform(size=(len(NAMES), *SHAPE)).astype("float32")
QUERIES = RANDOM.uniform(size=(4, *SHAPE)).astype("float32")
# A classifier with an output of its own for each class, and what reads a support set in some order.
DEPENDING = {
    "maml": {"inner_learning_rate": 0.3},
    "matching_fce": {"read_steps": 2},
    "mann": {"memory_rows": 6, "memory_width": 5, "controller_units": 8, "read_heads": 1},
    "meta_networks": {"filters": 4, "task_examples": 2},
    "meta_networks_minus": {"filters": 4},
    "meta_networks_plus": {"filters": 4, "task_examples": 2},
}


@given(st.lists(st.binary(max_size=6) | st.text().map(str.encode), min_size=1, max_size=12))
@example([b"", b"\0", b"\0\0", b"a", b"a\0", b"A", b"\xff", b"\x7f", b"a"])
@example([b"x" * 127 + b"b", b"x" * 127 + b"a", b"x" * 127])
@settings(max_examples=50, deadline=None, derandomize=True)
def test_classes_are_sorted_as_bytes_are(names):
    classes, labels = numbered(tf.constant(names))
    assert classes.numpy().tolist() == sorted(set(names))
    assert [sorted(set(names))[label] for label in labels.numpy()] == names


def test_names_with_a_long_beginning_in_common_have_an_order_that_is_not_the_listed_one():
    names = [b"x" * 500 + bytes([end]) for end in range(40)]
    orders = [numbered(tf.constant(listed))[0].numpy().tolist() for listed in (names, names[::-1])]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == names


@pytest.fixture(params=DEPENDING, scope="module")
def answers(request):
    """By class, [4] each, of a request."""
    keras.utils.set_random_seed(0)
    kind, problem = METHODS[request.param], Problem(SHAPE, 3, None, [0.5], [0.3])
    network = conv4(SHAPE, 3, filters=4)
    learner = {} if request.param.startswith("meta_networks") else {"learner": network}
    if request.param in ("mann", "matching_fce"):
        learner = {"learner": embedding(network)}
    method = kind(**learner, problem=problem, **DEPENDING[request.param])
    for weight in method.trainable_variables:  # fast weights start near nothing
        weight.assign(weight + 0.1 * RANDOM.normal(size=weight.shape))
    served = Answers(method, SHAPE)

    def asked(support, names):
        adaptation = served.adapt(tf.constant(support), tf.constant(names))
        columns = served.predict(adaptation, tf.constant(QUERIES))["probabilities"].numpy().T
        return dict(zip(adaptation["classes"].numpy().astype(str), columns, strict=True))

    return asked


def test_the_order_of_a_request_changes_nothing(answers):
    expected = answers(SUPPORT, NAMES)
    assert list(expected) == ["ape", "mole", "zebra"]
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(NAMES))
        found = answers(SUPPORT[order], NAMES[order])
        assert list(found) == list(expected)
        for name, column in expected.items():
            np.testing.assert_allclose(found[name], column, atol=1e-4)


def test_other_names_may_change_the_answers_of_these_methods(answers):
    """So the test above shows something: the numbers of classes matter to them."""
    expected = answers(SUPPORT, NAMES)
    renamed = answers(SUPPORT, np.char.replace(NAMES, "ape", "zzz"))
    assert np.abs(renamed["zebra"] - expected["zebra"]).max() > 1e-3
