"""Learners with layers that draw random numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm import options
from ml_lstm.episode import Episode, LabelledBatch, Problem
from ml_lstm.learners import EpisodicBatchNormalization, FunctionalLearner
from ml_lstm.learners.randomness import meta_training, seed_states
from ml_lstm.methods import METHODS
from ml_lstm.methods.families.joint_training import JointlyTrained
from ml_lstm.runs import settings

SHAPE = (8, 8, 1)
IMAGES = tf.random.stateless_uniform([6, *SHAPE], [1, 2])
LABELS = tf.constant([0, 1, 2, 0, 1, 2])


def network():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Conv2D(4, 3),
            EpisodicBatchNormalization(),
            keras.layers.SpatialDropout2D(0.3),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3),
        ]
    )


def adapt(model, steps=3):
    """Gradient descent: the adapted parameters, the packed statistics, and the answers to the support set."""
    learner = FunctionalLearner(model)
    state = learner.initial_state()
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(state.parameters)
            logits, statistics = learner(state, IMAGES, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))
        parameters = state.parameters - 0.1 * tape.gradient(loss, state.parameters)
        state = state._replace(parameters=parameters, statistics=statistics)
    packed = learner.pack_statistics(state.statistics)
    state = state._replace(statistics=learner.unpack_statistics(packed))
    return parameters, packed, learner(state, IMAGES, training=False)[0]


@pytest.mark.parametrize("compiled", [False, True])
def test_two_adaptations_are_equal_and_write_no_variable(compiled):
    model = network()
    before = [variable.numpy() for variable in model.variables]
    function = tf.function(lambda: adapt(model), autograph=False) if compiled else lambda: adapt(model)
    for first, second in zip(function(), function(), strict=True):
        np.testing.assert_array_equal(first, second)
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, variable)


def test_an_adaptation_is_the_same_to_the_bit_after_saving(tmp_path):
    model = network()
    model(IMAGES, training=True)  # moves the states of random layers, which are not saved
    model.save(tmp_path / "learner.keras")
    loaded = keras.saving.load_model(tmp_path / "learner.keras")
    for first, second in zip(adapt(model), adapt(loaded), strict=True):
        np.testing.assert_array_equal(first, second)


def test_each_step_and_each_layer_draws_other_numbers():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5), keras.layers.Dropout(0.5)])
    model.add(keras.layers.Dense(64, kernel_initializer="identity"))
    learner = FunctionalLearner(model)
    state, kept = learner.initial_state(), []
    for _ in range(2):
        output, statistics = learner(state, tf.ones([32, 64]), training=True)
        state = state._replace(statistics=statistics)
        kept.append(output.numpy() > 0)
    assert not np.array_equal(*kept)
    assert 0.2 < np.mean(kept) < 0.3  # half of a half: the two layers do not draw the same


def test_each_meta_step_draws_other_numbers_and_the_same_again():
    learner = FunctionalLearner(network())

    def answer():
        return learner(learner.initial_state(), IMAGES, training=True)[0].numpy()

    def in_step(number):
        with meta_training(tf.constant(number)):
            return answer()

    first, second, outside = in_step(0), in_step(1), answer()
    for one, other in ((first, second), (first, outside), (second, outside)):
        assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(in_step(1), second)
    np.testing.assert_array_equal(answer(), outside)


@pytest.mark.slow_unless(chosen=[{"method": "prototypical"}, {"method": "maml", "inner_steps": 1}])
@pytest.mark.parametrize(
    "chosen",
    [
        {"method": "prototypical"},
        {"method": "mann", "controller_units": 4, "memory_rows": 5},
        {"method": "nearest_neighbour"},
        {"method": "maml", "inner_steps": 1},
        {"method": "maml", "inner_steps": 1, "recompute_inner_steps": True},
    ],
    ids=lambda chosen: "-".join(map(str, chosen.values())),
)
def test_a_methods_meta_steps_draw_what_their_number_says(chosen):
    """With nothing else random, another loss of the same weights on the same episode means other draws."""
    values = settings.complete({"n_way": 3, **chosen})
    kind = options.target(METHODS[chosen["method"]])
    method = kind(kind.body_of(network()), Problem(SHAPE, 3, 3), **options.pick(METHODS[chosen["method"]], values))
    method.compile(optimizer=keras.optimizers.SGD(0.0))
    episode = tf.data.Dataset.from_tensors(Episode(IMAGES, LABELS, IMAGES, LABELS))
    data = episode
    if isinstance(method, JointlyTrained):
        data = tf.data.Dataset.from_tensors(LabelledBatch(IMAGES, LABELS)).batch(1)

    def loss():
        return method.fit(data, verbose=0).history["loss"][0]

    method.optimizer.build(method.trainable_variables)
    losses = [loss() for _ in range(3)]
    assert len(set(losses)) == 3
    method.optimizer.iterations.assign(1)
    assert loss() == losses[1]
    evaluated = [method.evaluate(episode, verbose=0) for _ in range(2)]
    assert evaluated[0] == evaluated[1]


def test_states_of_random_layers_are_carried_but_not_kept():
    model = network()
    learner = FunctionalLearner(model)
    state = learner.initial_state()
    _, statistics = learner(state, IMAGES, training=True)
    assert [t.dtype.is_floating for t in statistics] == 3 * [True] + 3 * [False]
    assert all(np.any(old != new) for old, new in zip(state.statistics[3:], statistics[3:], strict=True))
    packed = learner.pack_statistics(statistics)
    assert packed.shape == [4 + 4 + 1]
    for tensor, first in zip(learner.unpack_statistics(packed)[3:], state.statistics[3:], strict=True):
        np.testing.assert_array_equal(tensor, first)


def test_a_model_that_is_called_as_it_is_can_draw_the_same_after_saving(tmp_path):
    """As the methods do that do not adapt weights."""
    model = network()
    model.save(tmp_path / "learner.keras")
    answers = []
    for each in (model, model, keras.saving.load_model(tmp_path / "learner.keras")):
        with keras.StatelessScope(seed_states(each)):
            answers.append(each(IMAGES, training=True))
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_a_model_without_random_layers_has_no_such_state():
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)])
    assert FunctionalLearner(model).initial_state().statistics == ()
    assert FunctionalLearner(model).pack_statistics(()).shape == [0]
