"""What the LSTM meta-learner promises as a few-shot classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM

WAY = 5
PROBLEM = Problem((16, 16, 1), WAY)


def new_method(problem=PROBLEM, **arguments):
    keras.utils.set_random_seed(3)
    arguments = {"inner_steps": 3, "shared_head": True} | arguments
    cell = MetaLSTMCell(hidden_units=4, input_gate_bias=(-2, -1))
    return MetaLSTM(conv4((16, 16, 1), WAY, filters=8), problem, cell, **arguments)


@pytest.fixture(scope="module")
def method():
    return new_method()


def pictures(count, seed=0):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 1)).astype("uint8"))


SUPPORT, LABELS, QUERIES = pictures(WAY), tf.range(WAY), pictures(9, seed=1)


def probabilities(method, support=SUPPORT, labels=LABELS, queries=QUERIES, query_statistics="support"):
    return tf.nn.softmax(method.classify(method.adapt(support, labels), queries, query_statistics)).numpy()


def test_query_answer_does_not_depend_on_other_queries(method):
    together = probabilities(method)
    for index in (0, 4, 8):
        alone = probabilities(method, queries=QUERIES[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], rtol=1e-5, atol=1e-7)


def test_transductive_batch_norm_makes_it_depend(method):
    together = probabilities(method, query_statistics="queries")
    alone = probabilities(method, queries=QUERIES[:3], query_statistics="queries")
    assert np.abs(together[:3] - alone).max() > 1e-3


def test_adapt_is_pure(method):
    before = [value.copy() for value in method.get_weights()]
    first = method.adapt(SUPPORT, LABELS)
    second = method.adapt(SUPPORT, LABELS)
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name])
    for value, now in zip(before, method.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_order_of_the_support_set_does_not_matter(method):
    order = [3, 0, 4, 2, 1]
    shuffled = probabilities(method, tf.gather(SUPPORT, order), tf.gather(LABELS, order))
    np.testing.assert_allclose(shuffled, probabilities(method), rtol=1e-4, atol=1e-6)


def test_renaming_classes_renames_the_answers_of_a_shared_head(method):
    new_name = np.array([2, 0, 3, 1, 4])
    renamed = probabilities(method, labels=tf.constant(new_name, tf.int32))
    np.testing.assert_allclose(renamed[:, new_name], probabilities(method), rtol=1e-4, atol=1e-6)


def test_absent_classes_get_no_probability_and_no_say_in_the_inner_loss(method):
    answer = probabilities(method, SUPPORT[:3], LABELS[:3])
    assert (answer[:, 3:] == 0).all()
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-6)
    # With one class, there is nothing to learn: the masked inner loss is 0 and so is its gradient.
    losses = method.diagnostics(SUPPORT[:1], LABELS[:1])["inner_loss"]
    np.testing.assert_allclose(losses, 0, atol=1e-7)


def test_shots_may_differ_between_classes(method):
    labels = tf.constant([0, 0, 0, 1, 2, 2, 3, 4])
    answer = probabilities(method, pictures(8), labels)
    assert answer.shape == (9, WAY) and np.isfinite(answer).all()


def test_float_pictures_mean_the_same_as_uint8(method):
    as_float = [tf.cast(t, tf.float32) / 255 for t in (SUPPORT, QUERIES)]
    np.testing.assert_allclose(
        probabilities(method, as_float[0], LABELS, as_float[1]), probabilities(method), rtol=1e-5, atol=1e-7
    )


def test_pictures_are_normalised_by_mean_and_deviation():
    method = new_method(Problem((16, 16, 1), WAY, None, [0.5], [0.25]))
    np.testing.assert_allclose(method.normalize(tf.constant([[[[255]]], [[[0]]]], tf.uint8))[:, 0, 0, 0], [2, -2])


def test_saved_and_loaded_gives_the_same_answers(method, tmp_path):
    method.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(probabilities(again), probabilities(method))


def test_every_part_learns_from_one_meta_step():
    method = new_method()
    method.compile(optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=0.25))
    before = {v.path: v.numpy() for v in method.trainable_variables}
    query_labels = tf.constant([0, 1, 2, 3, 4, 0, 1, 2, 3])
    episodes = tf.data.Dataset.from_tensors(Episode(SUPPORT, LABELS, QUERIES, query_labels)).repeat().batch(2)
    history = method.fit(episodes, steps_per_epoch=1, verbose=0).history
    assert set(history) == {"loss", "accuracy", "gradient_norm"}
    unmoved = [path for path, value in before.items() if np.array_equal(value, _by_path(method, path))]
    # Batch norm takes the mean out again, so a convolution's bias has no gradient but rounding.
    assert [path for path in unmoved if not path.endswith("bias")] == []


def _by_path(method, path):
    return next(v for v in method.trainable_variables if v.path == path).numpy()


def test_unbatched_and_batched_episodes_score_alike(method):
    episode = Episode(SUPPORT, LABELS, QUERIES, tf.constant([0, 1, 2, 3, 4, 0, 1, 2, 3]))
    other = Episode(pictures(WAY, 7), LABELS, pictures(9, 8), episode.query_labels)
    both = Episode(*(tf.stack(pair) for pair in zip(episode, other, strict=True)))
    losses, accuracies = method.episode_results(both)
    for index, single in enumerate((episode, other)):
        loss, accuracy = method.episode_results(single)
        np.testing.assert_allclose(losses[index], loss[0], rtol=1e-5)
        np.testing.assert_allclose(accuracies[index], accuracy[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_steps": 0}, "inner_steps must be a whole number, at least 1, got 0"),
        ({"inner_batch_size": -2}, "inner_batch_size"),
        ({"query_statistics": "running"}, "'running'"),
        ({"problem": Problem((16, 16, 1), WAY, image_std=0.0)}, "image_std"),
    ],
)
def test_a_bad_setting_is_refused_with_the_value_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        new_method(**arguments)


def test_a_shared_head_needs_a_dense_head():
    learner = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 4), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="ends in a linear Dense layer"):
        MetaLSTM(learner, Problem((4, 4, 1), 3), shared_head=True)
