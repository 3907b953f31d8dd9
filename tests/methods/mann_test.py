"""The memory-augmented network: sequences with labels one step late, and answers from the state after a support set."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.evaluation import instance_accuracies
from ml_lstm.methods import MemoryAugmentedNetwork
from ml_lstm.methods.families.inner_loop import random_order, seed_of
from ml_lstm.methods.mann import LETTERS, instances, leave_one_out_loss

FEATURES, WAY = 3, 4
PROBLEM = Problem((1, FEATURES, 1), WAY)
SMALL = {"controller_units": 5, "memory_rows": 6, "memory_width": 4, "read_heads": 2}
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def method():
    keras.utils.set_random_seed(0)
    pictures_are_features = keras.Sequential([keras.Input((1, FEATURES, 1)), keras.layers.Flatten()])
    return MemoryAugmentedNetwork(pictures_are_features, PROBLEM, **SMALL)


def pictures(*shape):
    return RANDOM.uniform(size=(*shape, 1, FEATURES, 1)).astype("float32")


def test_the_label_of_a_picture_is_told_with_the_next_one(method):
    images, labels = pictures(2, 5), np.array([[0, 1, 2, 1, 3], [3, 3, 0, 1, 2]])
    state, expected = method.memory.cell.get_initial_state(2), []
    for t in range(5):
        late = np.eye(WAY)[labels[:, t - 1]] if t else np.zeros((2, WAY))
        inputs = np.concatenate([images[:, t].reshape(2, FEATURES), late], axis=1).astype("float32")
        output, state = method.memory.cell(tf.constant(inputs), state)
        expected.append(tf.nn.log_softmax(method.head(output)))
    np.testing.assert_allclose(method.sequence_logits(images, labels), np.stack(expected, axis=1), rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def spelling(method):
    """With strings of three letters for classes."""
    keras.utils.set_random_seed(0)
    return MemoryAugmentedNetwork(method.learner, PROBLEM, **SMALL, label_characters=3)


def test_strings_differ_between_classes_and_between_episodes(spelling):
    codes = spelling.codes(125, tf.constant([1, 2])).numpy()  # all that there are
    assert codes.shape == (2, 125, 3, LETTERS)
    np.testing.assert_array_equal(codes.sum(axis=-1), 1)
    for episode in codes:
        assert len(np.unique(episode.reshape(125, -1), axis=0)) == 125
    assert (codes[0, :WAY] != codes[1, :WAY]).any()
    np.testing.assert_array_equal(spelling.codes(WAY, tf.constant([2]))[0], codes[1, :WAY])
    assert spelling.most_classes == 125


def test_a_string_is_told_letter_by_letter_and_answered_so(spelling):
    images, labels, seeds = pictures(2, 5), np.array([[0, 1, 2, 1, 3], [3, 3, 0, 1, 2]]), tf.constant([7, 8])
    codes = spelling.codes(WAY, seeds).numpy()
    state, expected = spelling.memory.cell.get_initial_state(2), []
    for t in range(5):
        late = np.stack([codes[n, labels[n, t - 1]].ravel() if t else np.zeros(3 * LETTERS) for n in range(2)])
        inputs = np.concatenate([images[:, t].reshape(2, FEATURES), late], axis=1).astype("float32")
        output, state = spelling.memory.cell(tf.constant(inputs), state)
        by_letter = np.log(tf.nn.softmax(tf.reshape(spelling.head(output), [2, 3, LETTERS])))
        expected.append([[by_letter[n][codes[n, k] == 1].sum() for k in range(WAY)] for n in range(2)])
    found = spelling.sequence_logits(images, labels, training=True, seeds=seeds)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_strings_too_short_for_the_classes_are_refused(method):
    with pytest.raises(ValueError, match="label_characters=1 is enough for 5 classes, but the problem has 6"):
        MemoryAugmentedNetwork(method.learner, PROBLEM._replace(n_way=6), label_characters=1)


def test_a_query_is_one_more_step_after_the_support_set(method):
    images, labels = pictures(3), np.array([2, 0, 1])
    logits = method.classify(method.adapt(images, labels), images[:1]).numpy()
    order = random_order(images.reshape(3, FEATURES), labels, seed_of(images)).numpy()  # it is read in
    sequence = np.concatenate([images[order], images[:1]])[None]
    expected = method.sequence_logits(sequence, [[*labels[order], 0]])[0, 3].numpy()
    np.testing.assert_allclose(logits[0, :3], expected[:3], rtol=1e-4, atol=1e-6)
    assert logits[0, 3] < -1e8  # a class that the support set lacks


def test_a_support_set_is_read_in_random_order_as_in_meta_training():
    """Not class after class: in 20 support sets of two pictures of each of four classes, classes follow one another."""
    labels, changes = np.repeat(np.arange(WAY), 2), []
    for seed in range(20):
        images = np.random.default_rng(seed).uniform(size=(2 * WAY, 1, FEATURES, 1)).astype("float32")
        order = random_order(images.reshape(-1, FEATURES), labels, seed_of(images)).numpy()
        assert sorted(order) == list(range(2 * WAY))
        changes.append(np.count_nonzero(np.diff(labels[order])))
    assert np.mean(changes) == pytest.approx(6, abs=0.7)  # of 7, 6 on average; sorted it would be 3


def test_instances_count_what_came_before():
    np.testing.assert_array_equal(
        instances(tf.constant([[2, 0, 2, 2, 0], [1, 1, 1, 1, 1]])), [[0, 0, 1, 2, 1], [0, 1, 2, 3, 4]]
    )


def test_the_loss_is_of_all_answers_in_a_random_order_and_the_accuracy_of_the_later_ones(method):
    labels, query_labels = np.array([[0, 1, 2, 3]]), np.array([[3, 1, 2, 0, 0, 1, 2, 3]])
    support, queries = pictures(1, 4), pictures(1, 8)
    episode = Episode(
        *(tf.constant(v) for v in (support, labels.astype("int32"), queries, query_labels.astype("int32")))
    )
    losses, accuracies, *_ = method.training_results(episode)
    again, *_ = method.training_results(episode)
    np.testing.assert_array_equal(losses, again)
    images, together = np.concatenate([support, queries], 1), np.concatenate([labels, query_labels], 1)
    seed = int(np.round(images * 255).astype("int32").sum())
    order = np.argsort(tf.random.stateless_uniform((1, 12), [seed, 0]))[0]
    images, together = images[:, order], together[:, order]
    logits = method.sequence_logits(images, together).numpy()[0]
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(together[0], logits)
    np.testing.assert_allclose(losses, [np.mean(expected)], rtol=1e-5)
    later = [t for t in range(12) if together[0, t] in together[0, :t]]
    np.testing.assert_allclose(accuracies, [np.mean(logits[later].argmax(1) == together[0, later])], rtol=1e-6)


def test_accuracy_is_counted_for_each_instance(method, monkeypatch):
    """A stand-in that names a class from its third instance on, and is wrong before."""

    def third_time_lucky(images, labels, training=False):
        right = tf.one_hot(labels, WAY)
        wrong = tf.one_hot((labels + 1) % WAY, WAY)
        return tf.where((instances(labels) >= 2)[..., None], right, wrong)

    monkeypatch.setattr(method, "sequence_logits", third_time_lucky)
    episode = Episode(pictures(4), np.arange(4, dtype="int32"), pictures(12), np.arange(12, dtype="int32") % 4)
    episodes = tf.data.Dataset.from_tensors(Episode(*(tf.constant(v) for v in episode))).repeat(5)
    np.testing.assert_array_equal(instance_accuracies(method, episodes, batch_size=2), [[0, 0, 1, 1]] * 5)


def test_the_loss_of_the_embedding_is_that_of_prototypes_without_the_picture_itself():
    features, labels = RANDOM.normal(size=(2, 6, 3)), np.array([[0, 1, 0, 2, 1, 0], [3, 3, 3, 1, 1, 0]])
    expected = []
    for sequence, classes in zip(features, labels, strict=True):
        losses = []
        for t, (vector, own) in enumerate(zip(sequence, classes, strict=True)):
            others = np.arange(6) != t
            present = sorted(set(classes[others]))
            if own in present:
                means = np.stack([sequence[others & (classes == k)].mean(axis=0) for k in present])
                distances = ((vector - means) ** 2).sum(axis=1)
                losses.append(distances[present.index(own)] + np.log(np.exp(-distances).sum()))
        expected.append(np.mean(losses))
    found = leave_one_out_loss(tf.constant(features), tf.constant(labels), WAY)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_no_class_seen_twice_leaves_nothing_to_learn():
    np.testing.assert_array_equal(leave_one_out_loss(tf.ones((1, 2, 3)), tf.constant([[0, 1]]), WAY), [0])


def test_the_loss_of_the_embedding_is_added_by_its_weight(method):
    settings = {"learner": method.learner, "problem": PROBLEM, **SMALL}
    weighted = MemoryAugmentedNetwork(**settings, embedding_loss=0.5)
    weighted.set_weights(method.get_weights())
    labels = np.array([[0, 1, 2, 3]], np.int32)
    episode = Episode(*(tf.constant(v) for v in (pictures(1, 4), labels, pictures(1, 4), labels)))
    together = np.concatenate([episode.support_images, episode.query_images], 1).reshape(1, 8, FEATURES)
    extra = leave_one_out_loss(tf.constant(together), tf.concat([labels, labels], 1), WAY)
    plain, with_it = (each.training_results(episode)[0] for each in (method, weighted))
    np.testing.assert_allclose(with_it - plain, 0.5 * extra, rtol=1e-4)
