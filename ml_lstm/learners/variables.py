"""The roles of a Keras model's variables: which are running averages, and in which precision they are."""

from typing import Any

import keras

from ml_lstm.keras_private import nested_layers
from ml_lstm.learners.batch_norm import EpisodicBatchNormalization


def averages(model: keras.layers.Layer) -> list[keras.Variable]:
    """The running averages of batch norm in a model, in the order of its variables.

    They are the only variables that a call with `training=True` may change. A frozen layer (`trainable=False`)
    normalises by its averages and does not change them, so the list does not contain them.

    Args:
        model: a built model or layer.
    """
    moved = {id(variable) for layer in nested_layers(model) for variable in _averages_of(layer)}
    return [variable for variable in model.non_trainable_variables if id(variable) in moved]


def _averages_of(layer):
    if not layer.trainable:
        return []
    if isinstance(layer, EpisodicBatchNormalization):
        return [layer.mean, layer.variance, layer.collected]
    if isinstance(layer, keras.layers.BatchNormalization):
        # All its non-trainable variables, except a scale or shift that is frozen by itself.
        weights = {id(layer.gamma), id(layer.beta)}
        return [variable for variable in layer.non_trainable_variables if id(variable) not in weights]
    return []


def in_dtype_of(model: keras.Model, options: dict[str, Any]) -> dict[str, Any]:
    """Options of a Keras layer after a model: with dtype float64 if the model has it and the options set no dtype."""
    exact = "dtype" not in options and any(variable.dtype == "float64" for variable in model.variables)
    return options | {"dtype": "float64"} if exact else options


def take_momentum(model: keras.Model, momentum: float) -> None:
    """Sets the momentum of all episodic batch norm in a model that was created without one."""
    for layer in nested_layers(model):
        if isinstance(layer, EpisodicBatchNormalization) and layer.momentum is None:
            layer.momentum = momentum


def freeze_batch_norm(model: keras.Model) -> None:
    """Makes all batch norm of a model constant: it normalises by its current averages, scales and shifts."""
    for layer in nested_layers(model):
        if isinstance(layer, EpisodicBatchNormalization | keras.layers.BatchNormalization):
            layer.trainable = False


def by_layer(model: keras.Model) -> dict[str, list[int]]:
    """The trainable variables of each layer in a model, as indices by the layer's name, in their order.

    Layers of a nested model are listed by themselves; a layer that contains layers stands for all of them. Variables
    that belong to no layer are listed under the model's name.

    Args:
        model: built.
    """
    owners = {}
    for layer in _layers(model):
        for variable in layer.trainable_variables:
            owners.setdefault(id(variable), layer.name)
    found = {}
    for index, variable in enumerate(model.trainable_variables):
        found.setdefault(owners.get(id(variable), model.name), []).append(index)
    return found


def _layers(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer
