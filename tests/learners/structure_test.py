"""What can be known of any Keras model."""

import keras
import pytest

from ml_lstm.learners import EpisodicBatchNormalization
from ml_lstm.learners.structure import last_layer, output_shape
from tests.learners.kinds import GRAPHS, KINDS, SHAPE, WAY, functional, subclassed


@pytest.mark.parametrize("make", KINDS)
def test_the_output_shape_of_every_kind_of_model_is_known(make):
    model = make()
    before = [variable.numpy() for variable in model.variables]
    assert output_shape(model, SHAPE) == (None, WAY)
    assert all((value == variable.numpy()).all() for value, variable in zip(before, model.variables, strict=True))


def test_the_output_shape_is_that_for_these_very_images():
    maps = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(4, 3)])
    assert output_shape(maps, (16, 12, 1)) == (None, 14, 10, 4)


@pytest.mark.parametrize("make", [functional, subclassed])
def test_images_that_do_not_fit_are_named(make):
    with pytest.raises(ValueError, match=r"does not take images of shape \(16, 16, 3\)") as caught:
        output_shape(make(), (16, 16, 3))
    assert "\n" not in str(caught.value)


def test_two_outputs_are_refused():
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inputs)
    with pytest.raises(ValueError, match="must return one tensor"):
        output_shape(keras.Model(inputs, [flat, keras.layers.Dense(2)(flat)]), SHAPE)


def test_a_shape_that_varies_with_the_batch_is_refused():
    class Varying(keras.Model):
        def call(self, images):
            return keras.ops.reshape(images, (4, -1))

    model = Varying()
    model.build((None, *SHAPE))
    with pytest.raises(ValueError, match="must be known"):
        output_shape(model, SHAPE)


@pytest.mark.parametrize("make", GRAPHS)
def test_the_last_layer_is_found_in_models_inside_too(make):
    model = make()
    head = last_layer(model)
    assert isinstance(head, keras.layers.Dense)
    assert head.kernel is model.trainable_variables[-2]


def test_what_follows_the_head_is_the_last_layer_if_it_is_an_operation_only():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.softmax(keras.layers.Dense(2)(inputs)))
    assert type(last_layer(model)).__name__ == "Softmax"
    assert last_layer(subclassed()) is None
    assert isinstance(last_layer(keras.Sequential([inputs, EpisodicBatchNormalization()])), EpisodicBatchNormalization)
