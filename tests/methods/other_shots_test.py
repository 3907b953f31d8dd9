"""What was learned with one number of shots answers as well with another, an uneven one, or a set listed twice.

Accuracy is measured, on an easy problem: a class is a smooth random pattern, and a picture of it the pattern in noise.
A network of one layer learns in some meta-steps to look past the noise. All methods meet the same episodes, but for the
memory-augmented network, which takes thousands of meta-steps to begin on pictures: it gets vectors, and no network.
"""

import functools
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import CELLS
from ml_lstm.episode import Episode, LabelledBatch, Problem
from ml_lstm.learners import LEARNERS, EpisodicBatchNormalization
from ml_lstm.methods import METHODS
from ml_lstm.methods.families.joint_training import JointlyTrained
from ml_lstm.runs import settings


class Task(NamedTuple):
    """An easy problem.

    Attributes:
        shape: of images.
        coarse: height and width of the random numbers that a class's pattern is enlarged from.
        n_way: classes of an episode.
        classes: to choose from.
        contrast, noise: of patterns and of what is added to them.
    """

    shape: tuple[int, int, int]
    coarse: tuple[int, int]
    n_way: int
    classes: int
    contrast: float
    noise: float


PICTURES = Task((16, 16, 1), (3, 3), 4, 60, 0.12, 0.2)
VECTORS = Task((1, 8, 1), (1, 8), 3, 3000, 0.2, 0.04)
SHOTS = {"one": (1, 1, 1, 1), "five": (5, 5, 5, 5), "uneven": (1, 5, 2, 3)}  # of the first classes, if there are fewer
QUERIES, EPISODES = 5, 40

# 40 episodes of 20 queries: a share of 0.7 of so many has a standard error of 0.016, the difference of two 0.023; three
# of these. A sum over shots in place of their mean cost Relation Networks 0.2 and more on real data, and a class with
# more examples weighing more cost Meta Networks 0.3 and MAML 0.1 here.
SLACK = 0.07
# A memory-augmented network learned from sequences in which each class comes as often, as in its paper: of a class that
# came more often than others it expects less to come, the less the longer the list (docs/mann.md).
UNEVEN_SLACK = {"mann": 0.25}

# Small and quick to learn, for whatever takes one of these; all else is as it is by default.
EASY = {
    "second_order": True,
    "query_statistics": "support",
    "shared_head": True,
    "inner_steps": 1,
    "inner_learning_rate": 1.0,
    "inner_gradient_scale": 10.0,
    "input_gate_bias": (-1.5, -0.5),
    "cell_learning_rate": 1.0,
    "hidden_units": 2,
    "attention_scale": 10.0,
    "read_steps": 2,
    "controller_units": 40,
    "memory_rows": 4,
    "memory_width": 20,
    "read_heads": 1,
    "filters": 8,
    "embedding_units": 16,
    "base_units": 16,
    "task_examples": 2,
    "meta_units": 5,
    "fine_tuning_rates": (1.0,),
    "fine_tuning_decays": (0.0,),
    "seed": 1,
}
VARIANTS = {name: {"method": name} for name in METHODS if name != "meta_lstm"}
VARIANTS |= {f"meta_lstm, {name}": {"method": "meta_lstm", "cell": name} for name in CELLS}
pytestmark = pytest.mark.slow_unless(
    accuracy=["meta_lstm, meta_lstm", "maml", "prototypical", "relation", "fine_tuning"]
)
STEPS = 80
MORE_STEPS = {"relation": 120, "matching_fce": 120, "meta_networks_minus": 150, "mann": 750}
META_BATCH = {"mann": 32}
RATES = {"reptile": 1.0, "mann": 0.01}


def one_layer(image_shape, n_way):
    """A convolution that sees half of a picture at a time."""
    x = inputs = keras.Input(image_shape)
    x = EpisodicBatchNormalization()(keras.layers.Conv2D(8, 8, strides=4, padding="same")(x))
    return keras.Model(inputs, keras.layers.Dense(n_way, name="head")(keras.layers.Flatten()(x)))


def as_they_are(image_shape, n_way):
    """No network."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(n_way, name="head")]
    return keras.Sequential([keras.Input(image_shape), *layers])


def patterns(task, random):
    """Smooth fields, [classes, H, W, 1]."""
    coarse = random.normal(size=(task.classes, *task.coarse, 1)).astype("float32")
    return tf.image.resize(coarse, task.shape[:2], "bicubic").numpy()


def pictures(task, random, fields):
    """One of each pattern."""
    noise = random.normal(size=fields.shape)
    return np.clip(0.5 + task.contrast * fields + task.noise * noise, 0, 1).astype("float32")


@functools.cache
def episodes(task, seed, shots, count):
    """So many, side by side, of the seed's classes."""
    random = np.random.default_rng(seed)
    classes, numbers = patterns(task, random), np.arange(task.n_way)
    labels, query_labels = (np.repeat(numbers, n).astype("int32") for n in (shots[: task.n_way], QUERIES))

    def episode():
        chosen = classes[random.choice(task.classes, task.n_way, replace=False)]
        support, queries = (pictures(task, random, chosen[of]) for of in (labels, query_labels))
        return support, labels, queries, query_labels

    return Episode(*(np.stack(column) for column in zip(*(episode() for _ in range(count)), strict=True)))


@functools.cache
def batches(task, seed, count, size=64):
    """Of pictures of all the seed's classes."""
    random = np.random.default_rng(seed)
    classes, labels = patterns(task, random), random.integers(0, task.classes, (count, size)).astype("int32")
    return LabelledBatch(np.stack([pictures(task, random, classes[of]) for of in labels]), labels)


def trained(variant, task):
    """With one shot."""
    learner = "as_they_are" if task is VECTORS else "one_layer"
    values = settings.complete(EASY | {"learner": learner, "n_way": task.n_way} | VARIANTS[variant])
    method = settings.build_method(values, Problem(task.shape, task.n_way, task.classes, [0.5], [0.2]))
    if not method.trains:
        return method
    joint, steps = isinstance(method, JointlyTrained), MORE_STEPS.get(variant, STEPS)
    size = 1 if joint else META_BATCH.get(variant, 4)
    enough = 200 if task is VECTORS else STEPS  # meta-batches, that then come again
    items = batches(task, 0, enough) if joint else episodes(task, 0, SHOTS["one"], enough * size)
    data = tf.data.Dataset.from_tensor_slices(items).repeat().batch(size, drop_remainder=True)
    method.compile(optimizer=method.make_optimizer(steps, learning_rate=RATES.get(variant, 0.005)), jit_compile=False)
    method.fit(data, steps_per_epoch=steps, verbose=0)
    method.tune(tf.data.Dataset.from_tensor_slices(episodes(task, 2, SHOTS["one"], 5)).batch(5))
    return method


def listed_twice(asked):
    support = {
        name: np.concatenate([getattr(asked, name)] * 2, axis=1) for name in ("support_images", "support_labels")
    }
    return asked._replace(**support)


@pytest.fixture(scope="module", params=VARIANTS)
def accuracy(request):
    """Of a method, by what it is asked with; the classes are others than it was trained on."""
    task = VECTORS if request.param == "mann" else PICTURES
    LEARNERS.update(own := {"one_layer": one_layer, "as_they_are": as_they_are})
    try:
        method = trained(request.param, task)
    finally:
        for name in own:
            del LEARNERS[name]
    images, labels = tf.TensorSpec([None, None, *task.shape]), tf.TensorSpec([None, None], tf.int32)

    @tf.function(autograph=False, input_signature=[images, labels, images])
    def answers(*asked):
        def answer(one):
            support, labels, queries = one
            return tf.argmax(method.classify(method.adapt(support, labels), queries), axis=-1, output_type=tf.int32)

        return tf.map_fn(answer, asked, fn_output_signature=tf.int32)

    asked = {name: episodes(task, 1, shots, EPISODES) for name, shots in SHOTS.items()}
    asked |= {f"{name} twice": listed_twice(asked[name]) for name in ("one", "uneven")}
    found = {name: float(np.mean(answers(*of[:3]) == of.query_labels)) for name, of in asked.items()}
    return found | {"uneven slack": UNEVEN_SLACK.get(request.param, SLACK)}


def test_it_has_learned_with_one_shot(accuracy):
    """Far from chance, 0.25 or 0.33, or the tests below would show nothing."""
    assert accuracy["one"] > 0.5, accuracy


def test_more_shots_than_in_training_do_no_harm(accuracy):
    assert accuracy["five"] > accuracy["one"] - SLACK, accuracy


def test_uneven_shots_do_no_harm(accuracy):
    """Each class has as many as in training, or more."""
    assert accuracy["uneven"] > accuracy["one"] - accuracy["uneven slack"], accuracy


@pytest.mark.parametrize("name", ["one", "uneven"])
def test_a_support_set_listed_twice_is_answered_as_well(accuracy, name):
    slack = SLACK if name == "one" else accuracy["uneven slack"]
    assert accuracy[f"{name} twice"] == pytest.approx(accuracy[name], abs=slack), accuracy
