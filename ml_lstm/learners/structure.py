"""What is known of a Keras model without running it: the shape of its output, and its layers."""

from typing import NamedTuple

import keras
import tensorflow as tf


class SymbolicCall(NamedTuple):
    """A call of a layer inside a model, on symbolic tensors.

    Attributes:
        layer: a layer, or another operation of Keras.
        input: its first argument.
        output: its result.
        inputs: all tensors among its arguments.
        training: the `training` argument; None if it was not passed.
    """

    layer: keras.Operation
    input: keras.KerasTensor
    output: keras.KerasTensor
    inputs: tuple[keras.KerasTensor, ...]
    training: bool | None


def is_graph(model: keras.Operation) -> bool:
    """Whether Keras knows the order of a model's layer calls: true for built functional and `Sequential` models."""
    return isinstance(model, keras.Model) and hasattr(model, "inputs") and hasattr(model, "outputs")


def last_layer(model: keras.Operation) -> keras.Operation | None:
    """The layer that computes a model's output, also inside a nested model; None for a subclassed model."""
    if not isinstance(model, keras.Model):
        return model
    if not is_graph(model):
        return None
    return last_layer(model.layers[-1] if isinstance(model, keras.Sequential) else model.operations[-1])


def symbolic_calls(model: keras.Model) -> tuple[keras.KerasTensor, list[SymbolicCall]]:
    """Calls a model's layers once more, on a new input.

    A layer's own `input` is not enough: it is that of its first call, perhaps in another model.

    Args:
        model: functional or `Sequential`, with one input and one output.

    Returns:
        The input, and the calls in their order; the last call's output is the model's.

    Raises:
        ValueError: for more inputs or outputs.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"The learner {model.name!r} must have one input and one output, not {len(model.inputs)} and "
            f"{len(model.outputs)}."
        )
    calls = []

    def call(layer, *args, **kwargs):
        output = layer(*args, **kwargs)
        arguments = [*args, *kwargs.values()]
        inputs = (tensor for tensor in keras.tree.flatten(arguments) if isinstance(tensor, keras.KerasTensor))
        calls.append(SymbolicCall(layer, arguments[0], output, tuple(inputs), kwargs.get("training")))
        return output

    if isinstance(model, keras.Sequential):
        (first,) = model.inputs
        x = images = keras.Input(batch_shape=first.shape, dtype=first.dtype)
        for layer in model.layers:
            x = call(layer, x)
        return images, calls
    same_layers = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    (images,) = same_layers.inputs
    return images, calls


def trace(model: keras.Model, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """A model's output for images [n, *image_shape], in a TensorFlow graph; no variable is written."""

    def answer(images):
        with keras.StatelessScope():
            return model(images, training=False)

    images = tf.TensorSpec([None, *image_shape], keras.config.floatx())
    return tf.function(answer, autograph=False).get_concrete_function(images).structured_outputs


def _check_input(model, image_shape):
    # Keras does not check this when it computes shapes.
    (taken, *_) = (tuple(tensor.shape[1:]) for tensor in model.inputs)
    if len(taken) != len(image_shape) or any(a not in (None, b) for a, b in zip(taken, image_shape, strict=True)):
        raise ValueError(f"its input has shape {taken}.")


def output_shape(model: keras.Model, image_shape: tuple[int, int, int]) -> tuple[int | None, ...]:
    """The shape of a model's output for images [n, *image_shape].

    Args:
        model: any built Keras model: functional, `Sequential` or subclassed.
        image_shape: `(height, width, channels)`.

    Returns:
        `(None, ...)`: the number of images, which is free, and the other dimensions.

    Raises:
        ValueError: for a model that does not take such images, or does not return exactly one tensor whose shape
            follows from theirs.
    """
    try:
        if is_graph(model):
            _check_input(model, image_shape)
            output = model.compute_output_spec(keras.KerasTensor((None, *image_shape), keras.config.floatx()))
        else:
            output = trace(model, image_shape)
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        (reason, *_) = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"The learner {model.name!r} does not take images of shape {tuple(image_shape)}: {reason}"
        ) from error
    if isinstance(output, list | tuple) and len(output) == 1:
        (output,) = output
    if not isinstance(output, keras.KerasTensor | tf.Tensor):
        kind = type(output).__name__
        raise ValueError(f"The learner {model.name!r} must return one tensor, not a {kind}: choose one of its outputs.")
    shape = tuple(output.shape)
    if None in shape[1:]:
        raise ValueError(
            f"The learner {model.name!r} gives {shape} for images of shape {tuple(image_shape)}: all dimensions but "
            "the number of images must be known, so pool or reshape those that vary."
        )
    return shape
