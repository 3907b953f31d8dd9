"""A meta-step: what `fit` and `evaluate` make of a method's loss of an episode, and which one was not finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Episode
from ml_lstm.training import MetaLearner
from ml_lstm.training.meta_step import FirstNonFiniteEpisode

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("losses", "gradient_norm", "expected"),
    [([1, 2, 3, 4], 1.0, -1), ([1, 2, NAN, INF], NAN, 22), ([1, 2, 3, INF], 1.0, 23), ([1, 2, 3, 4], INF, 20)],
)
def test_the_first_episode_is_found_and_kept(losses, gradient_norm, expected):
    metric = FirstNonFiniteEpisode()
    metric.update_state(tf.constant(losses, tf.float32), tf.constant(gradient_norm), tf.constant(5, tf.int64))
    assert int(metric.result()) == expected
    if expected >= 0:
        metric.reset_state()
        metric.update_state(tf.constant([NAN] * 4), tf.constant(NAN), tf.constant(6, tf.int64))
        assert int(metric.result()) == expected


class Offset(MetaLearner):
    """Has one number, and nothing but the loss of an episode: half its squared distance to four times a pixel."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.number = self.add_weight(shape=(), initializer="zeros", name="number")
        self.built = True

    def episode_loss(self, episode, training, query_statistics="support"):
        distance = tf.convert_to_tensor(self.number) - 4 * episode.query_images[0, 0, 0, 0]
        return distance**2 / 2, tf.one_hot(tf.zeros_like(episode.query_labels), 2)


def episodes(*pixels):
    """One of a single white-to-black query each, every other one of class 0, which `Offset` answers."""
    images = np.reshape(np.array(pixels, np.float32) / 4, (-1, 1, 1, 1, 1))
    labels = np.arange(len(pixels), dtype=np.int32)[:, None] % 2
    return tf.data.Dataset.from_tensor_slices(Episode(images, labels, images, labels))


def compiled(**settings):
    method = Offset()
    method.compile(keras.optimizers.SGD(0.5), **settings)
    return method


def test_a_meta_step_goes_down_the_mean_of_the_losses():
    method = compiled()
    history = method.fit(episodes(1, 3).batch(2), verbose=0).history
    assert history == {"loss": [2.5], "accuracy": [0.5], "gradient_norm": [2.0]}
    assert float(method.number) == 1.0  # 0 - 0.5 * (-1 - 3) / 2


def test_episodes_without_a_meta_batch_are_meta_batches_of_one():
    alone, batched = compiled(), compiled()
    histories = [
        method.fit(data, validation_data=data, verbose=0).history
        for method, data in ((alone, episodes(1, 3)), (batched, episodes(1, 3).batch(1)))
    ]
    assert histories[0] == histories[1]
    assert int(alone.optimizer.iterations) == 2
    assert float(alone.number) == float(batched.number) == 1.75  # 0.5, then half of the way to 3


@pytest.mark.parametrize("metrics", [None, ["accuracy"], "accuracy"])
def test_evaluate_says_loss_and_accuracy_once(metrics):
    method, data = compiled(metrics=metrics), episodes(1, 3, 1, 3).batch(2)
    assert method.evaluate(data, verbose=0) == [2.5, 0.5]
    assert method.evaluate(data, verbose=0, return_dict=True) == {"loss": 2.5, "accuracy": 0.5}
    assert len(set(method.metrics_names)) == len(method.metrics_names)
    history = method.fit(data, validation_data=data, verbose=0).history
    assert sorted(history) == ["accuracy", "gradient_norm", "loss", "val_accuracy", "val_loss"]
    assert history["accuracy"] == history["val_accuracy"] == [0.5]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": "mse"}, "Offset has its own loss, got loss='mse'"),
        ({"metrics": ["accuracy", "top_k"]}, r"got metrics=\['top_k'\]"),
        ({"weighted_metrics": ["auc"]}, r"got metrics=\['auc'\]"),
    ],
)
def test_a_loss_or_a_metric_that_would_be_passed_over_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        compiled(**settings)


def test_a_saved_method_is_compiled_when_it_is_loaded(tmp_path):
    method = compiled(metrics=["accuracy"])
    method.fit(episodes(1, 3), verbose=0)
    method.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", custom_objects={"Offset": Offset})
    assert float(again.number) == float(method.number)
    assert int(again.optimizer.iterations) == 2
    assert float(again.optimizer.learning_rate) == 0.5


class OffsetOfTwo(Offset):
    """As `Offset`, of no more than 2 classes."""

    def label_bound(self, items, training):
        return 2


@pytest.mark.parametrize("act", ["fit", "evaluate"])
@pytest.mark.parametrize("part", ["support_labels", "query_labels"])
@pytest.mark.parametrize(("label", "words"), [(2, "Labels must be from 0 to 1; {} are"), (-1, "from 0 to 1; {} are")])
def test_a_label_out_of_range_ends_in_a_sentence(act, part, label, words):
    method = OffsetOfTwo()
    method.compile(keras.optimizers.SGD(0.5))
    data = episodes(1, 3).map(lambda episode: episode._replace(**{part: tf.constant([label])}))
    with pytest.raises(tf.errors.InvalidArgumentError, match=words.format(part)):
        getattr(method, act)(data, verbose=0)
    assert float(method.number) == 0


@pytest.mark.parametrize("kind", [tf.string, tf.float32])
def test_labels_that_are_no_whole_numbers_are_refused(kind):
    data = episodes(1).map(
        lambda episode: episode._replace(query_labels=tf.constant(["0"] if kind is tf.string else [0.0]))
    )
    with pytest.raises(ValueError, match=f"Labels must be whole numbers, .* got {kind.name}: number the classes"):
        compiled().fit(data, verbose=0)


def test_what_is_no_episode_is_refused():
    with pytest.raises(ValueError, match="got 3 items"):
        compiled().fit(episodes(1).map(lambda episode: tuple(episode[:3])), verbose=0)
