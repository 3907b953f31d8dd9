"""What should not change an answer does not: the order of support examples, the names of classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Problem
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM
from ml_lstm.serving import export_version

SHAPE = (16, 16, 1)
LABELS = np.array([0, 1, 2, 0, 1, 0])
RANDOM = np.random.default_rng(0)
SUPPORT, QUERIES = (RANDOM.integers(0, 256, (n, *SHAPE)).astype("uint8") for n in (len(LABELS), 4))
QUICKLY = settings(max_examples=10, deadline=None, derandomize=True)
ORDERS = st.permutations(range(len(LABELS)))


def probabilities_by_name(signatures, support, names):
    answer = signatures["serving_default"](
        support_images=tf.constant(support), support_labels=tf.constant(names), query_images=tf.constant(QUERIES)
    )
    columns = zip(answer["classes"].numpy(), answer["probabilities"].numpy().T, strict=True)
    return {name.decode(): column for name, column in columns}


@pytest.fixture(scope="module")
def signatures(tmp_path_factory):
    """Of a method whose classes share a head; with heads of their own, classes are told apart by their order."""
    keras.utils.set_random_seed(0)
    learner, cell = conv4(SHAPE, 5, filters=4), MetaLSTMCell(hidden_units=2, input_gate_bias=(-2, -1))
    method = MetaLSTM(learner, Problem(SHAPE, 5, None, [0.8], [0.3]), cell, inner_steps=2, shared_head=True)
    directory = export_version(method, SHAPE, str(tmp_path_factory.mktemp("symmetry")), "{}")
    return tf.saved_model.load(str(directory)).signatures


def test_a_shared_head_takes_more_classes_than_it_was_trained_for(signatures):
    names = list("abcdef")
    adaptation = signatures["adapt"](support_images=tf.constant(SUPPORT), support_labels=tf.constant(names))
    in_parts = signatures["predict"](**adaptation, query_images=tf.constant(QUERIES))["probabilities"].numpy()
    assert in_parts.shape == (4, 6)
    at_once = probabilities_by_name(signatures, SUPPORT, names)
    np.testing.assert_allclose(in_parts, np.stack([at_once[name] for name in names], axis=1), atol=1e-5)


@pytest.fixture(scope="module")
def answer(signatures):
    return probabilities_by_name(signatures, SUPPORT, np.array(list("abc"))[LABELS])


def test_the_answer_depends_on_the_support_set(signatures, answer):
    others = probabilities_by_name(signatures, SUPPORT, np.array(list("abc"))[[1, 2, 0, 2, 0, 1]])
    assert max(np.abs(others[name] - answer[name]).max() for name in "abc") > 1e-3


@QUICKLY
@given(order=ORDERS)
def test_the_order_of_support_examples_does_not_matter(signatures, answer, order):
    """With a shared head and whole support sets up to rounding, as sums are taken in another order."""
    permuted = probabilities_by_name(signatures, SUPPORT[order], np.array(list("abc"))[LABELS[order]])
    for name, column in answer.items():
        np.testing.assert_allclose(permuted[name], column, atol=1e-4)


@QUICKLY
@given(names=st.lists(st.text(st.characters(codec="utf-8")), min_size=3, max_size=3, unique=True))
def test_other_names_of_classes_rename_the_answer_and_nothing_else(signatures, answer, names):
    renamed = probabilities_by_name(signatures, SUPPORT, [names[label] for label in LABELS])
    assert list(renamed) == sorted(names)
    for name, column in zip(names, answer.values(), strict=True):
        np.testing.assert_allclose(renamed[name], column, atol=1e-5)  # classes are summed in another order


@pytest.fixture(scope="module")
def in_mini_batches():
    """Probabilities [4, 5] of a method like the exported one that takes 2 support examples a step."""
    keras.utils.set_random_seed(0)
    learner, cell = conv4(SHAPE, 5, filters=4), MetaLSTMCell(hidden_units=2, input_gate_bias=(-2, -1))
    method = MetaLSTM(learner, Problem(SHAPE, 5), cell, inner_steps=3, inner_batch_size=2, shared_head=True)

    @tf.function(autograph=False)
    def probabilities(support, labels):
        return tf.nn.softmax(method.classify(method.adapt(support, labels), QUERIES))

    return lambda support, labels: probabilities(support, tf.constant(labels)).numpy()


@QUICKLY
@given(order=ORDERS)
def test_with_inner_mini_batches_the_order_within_a_class_matters(in_mini_batches, order):
    """Approximate: another order among the examples of a class puts others into a step.

    Here, an untrained method with wide-open gates and 6 examples of which 2 make a step, probabilities move by up
    to 0.28 (the largest of the 3! 2! orders within the classes).
    """
    expected, permuted = in_mini_batches(SUPPORT, LABELS), in_mini_batches(SUPPORT[order], LABELS[order])
    assert np.abs(permuted - expected).max() < 0.3


@QUICKLY
@given(order=ORDERS)
def test_with_inner_mini_batches_the_order_across_classes_does_not_matter(in_mini_batches, order):
    stays = [[i for i in range(len(LABELS)) if LABELS[i] == label] for label in range(3)]
    # The same places for each class, but the examples of a class in the order they had.
    order = [stays[label].pop(0) for label in LABELS[order]]
    expected, permuted = in_mini_batches(SUPPORT, LABELS), in_mini_batches(SUPPORT[order], LABELS[order])
    np.testing.assert_allclose(permuted, expected, atol=1e-4)
