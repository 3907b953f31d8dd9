"""Layers that are frozen (`trainable=False`) inside a learner, and which variables are statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.learners import EpisodicBatchNormalization, FunctionalLearner, LearnerState, conv4
from ml_lstm.learners.convolution import NormalizedConvolution
from ml_lstm.learners.variables import averages
from ml_lstm.methods.families.recompute import Recomputed
from tests.learners.kinds import SHAPE, functional

IMAGES = tf.random.stateless_uniform([6, *SHAPE], [1, 2])


def with_frozen_layers():
    """A convolution of 60 numbers, batch norm and a Dense layer of 20 MB, both frozen, and 16 numbers to adapt."""
    keras.utils.set_random_seed(0)
    frozen = keras.layers.Dense(5000, trainable=False), keras.layers.BatchNormalization(trainable=False)
    first = keras.layers.Conv2D(4, 2, strides=2, trainable=False)
    return keras.Sequential(
        [
            keras.Input((64, 64, 1)),
            first,
            frozen[1],
            keras.layers.Flatten(),
            keras.layers.Dense(1000, trainable=False),
            frozen[0],
            keras.layers.LayerNormalization(center=False, scale=False),
            keras.layers.Dense(7),
            EpisodicLayer(),
            keras.layers.Dense(2),
        ]
    )


class EpisodicLayer(keras.layers.Layer):
    """Batch norm of features."""

    def build(self, input_shape):
        self.normalization = EpisodicBatchNormalization()
        self.normalization.build((None, 1, 1, input_shape[-1]))

    def call(self, features, training=False):
        return self.normalization(features[:, None, None], training=training)[:, 0, 0]


def test_frozen_weights_stay_out_of_an_adaptation():
    model = with_frozen_layers()
    assert 4 * model.count_params() > 30e6
    learner = FunctionalLearner(model)
    assert learner.num_parameters == 5000 * 7 + 7 + 2 * 7 + 7 * 2 + 2
    state = learner.initial_state()
    assert state.parameters.shape == [learner.num_parameters]
    assert [tuple(tensor.shape) for tensor in state.statistics] == [(7,), (7,), ()]
    images = tf.random.stateless_uniform([6, 64, 64, 1], [1, 2])
    output, statistics = learner(state, images, training=True)
    assert learner.pack_statistics(statistics).shape == [7 + 7 + 1]
    state = state._replace(statistics=learner.unpack_statistics(learner.pack_statistics(statistics)))
    answer, _ = learner(state, images, training=False)
    np.testing.assert_allclose(answer, output, atol=0.05)  # its own batch was all that the averages saw


def test_frozen_weights_are_read_when_called():
    model = with_frozen_layers()
    learner = FunctionalLearner(model)
    state, images = learner.initial_state(), tf.random.stateless_uniform([6, 64, 64, 1], [1, 2])
    call = tf.function(lambda images: learner(state, images, training=True)[0], autograph=False)
    before = call(images)
    model.layers[4].kernel.assign(model.layers[4].kernel[:, ::-1])
    after = call(images)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, learner(state, images, training=True)[0], rtol=1e-4, atol=1e-5)


def test_a_gradient_that_is_computed_again_may_pass_frozen_layers():
    """TensorFlow refuses functions with a gradient of their own that read variables it takes for trainable."""
    model = functional()
    model.layers[1].trainable = False  # after it was built, when TensorFlow does not learn of it
    learner = FunctionalLearner(model)
    start = learner.initial_state()

    def loss(parameters):
        state = start._replace(parameters=parameters)
        return tf.reduce_sum(learner(state, IMAGES, training=True)[0] ** 2)

    again = Recomputed(loss, [])
    parameters = start.parameters
    gradients = []
    for function in (loss, lambda parameters: again([], parameters)):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            value = function(parameters)
        gradients.append(tape.gradient(value, parameters))
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-6)


def test_an_export_saves_the_frozen_weights_that_its_functions_read(tmp_path):
    model = functional()
    for layer in model.layers[1:3]:
        layer.trainable = False
    learner = FunctionalLearner(model)

    def adapt(images):
        state = learner.initial_state()
        return {"answer": learner(state, images, training=True)[0], "parameters": state.parameters}

    def classify(images, parameters):
        state = LearnerState(parameters, learner.unpack_statistics(tf.zeros([0])))
        return {"answer": learner(state, images, training=False)[0]}

    signatures = {
        function.__name__: tf.function(function, autograph=False).get_concrete_function(
            **{name: tf.TensorSpec(shape, name=name) for name, shape in shapes.items()}
        )
        for function, shapes in (
            (adapt, {"images": [None, *SHAPE]}),
            (classify, {"images": [None, *SHAPE], "parameters": [learner.num_parameters]}),
        )
    }
    module = tf.Module()
    for function in signatures.values():
        assert {id(v.value) for v in model.non_trainable_variables} <= {id(v) for v in function.variables}
        setattr(module, f"read_by_{function.name}", list(function.variables))
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    loaded = tf.saved_model.load(str(tmp_path)).signatures
    adapted = loaded["adapt"](images=IMAGES)
    expected = model(IMAGES)
    np.testing.assert_allclose(adapted["answer"], expected, rtol=1e-5, atol=1e-6)
    answer = loaded["classify"](images=IMAGES, parameters=adapted["parameters"])["answer"]
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [EpisodicBatchNormalization, keras.layers.BatchNormalization])
def test_frozen_batch_norm_normalises_by_its_averages(kind):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(SHAPE), kind(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    layer = model.layers[0]
    (mean, variance) = averages(model)[:2]
    mean.assign([0.3])
    variance.assign([4.0])
    layer.trainable = False
    learner = FunctionalLearner(model)
    assert learner.num_parameters == 4
    assert averages(model) == []
    for training in (True, False):
        output, statistics = learner(learner.initial_state(), IMAGES, training)
        assert statistics == ()
        expected = np.mean((IMAGES - 0.3) / np.sqrt(4.0 + layer.epsilon), axis=(1, 2))
        np.testing.assert_allclose(output, expected @ model.layers[-1].kernel, rtol=1e-4, atol=1e-6)


def test_a_frozen_block_of_conv4_stays_frozen_when_the_learner_is_loaded(tmp_path):
    learner = conv4(SHAPE, 3, filters=4)
    for layer in learner.layers:
        if isinstance(layer, NormalizedConvolution):
            layer.trainable = False
    learner.save(tmp_path / "learner.keras")
    loaded = keras.saving.load_model(tmp_path / "learner.keras")
    for model in (learner, loaded):
        assert FunctionalLearner(model).num_parameters == 4 * 3 + 3
        assert averages(model) == []
    np.testing.assert_array_equal(loaded(IMAGES, training=True), learner(IMAGES, training=True))


def test_averages_are_those_of_batch_norm_in_the_order_of_the_variables():
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Normalization(mean=0.5, variance=1.0),
            keras.layers.Conv2D(4, 3, trainable=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            NormalizedConvolution(4, 3),
        ]
    )
    *_, normal, _, convolution = model.layers
    inside = convolution.normalization
    wanted = [normal.moving_mean, normal.moving_variance, inside.mean, inside.variance, inside.collected]
    assert [id(variable) for variable in averages(model)] == [id(variable) for variable in wanted]


def test_a_scale_that_is_frozen_by_itself_is_no_average():
    model = functional()
    model.layers[2].gamma.trainable = False
    assert len(averages(model)) == 2
