"""The part of a network that nothing can change, so that it runs only once, and where a network can be split."""

import itertools

import keras

from ml_lstm.learners.randomness import seed_states
from ml_lstm.learners.structure import SymbolicCall, is_graph, symbolic_calls
from ml_lstm.learners.variables import averages


def joints(images: keras.KerasTensor, calls: list[SymbolicCall]) -> dict[int, keras.KerasTensor]:
    """The places where a single tensor connects the parts of a network.

    Args:
        images: its input.
        calls: see `symbolic_calls`.

    Returns:
        By number of calls before the place: the only tensor that all later calls depend on; 0 is for the images.
    """
    last_use = {id(images): 0}
    for place, call in enumerate(calls):
        last_use |= {id(tensor): place for tensor in call.inputs}
    found, waiting = {}, [images]
    for place, call in enumerate(calls):
        waiting = [tensor for tensor in waiting if last_use[id(tensor)] >= place]
        if len(waiting) == 1:
            found[place] = waiting[0]
        waiting += [tensor for tensor in keras.tree.flatten(call.output) if id(tensor) in last_use]
    return found | {len(calls): calls[-1].output}


def split_at_frozen(model: keras.Model) -> tuple[keras.Model | None, keras.Model | None]:
    """Splits a network before the first layer that an episode can change.

    The first part has nothing to train, no averages to update and nothing random, so its output is the same in
    every inner step.

    Args:
        model: a built Keras model.

    Returns:
        Both parts, which share the model's weights. The first is None if it would hold no weights, as in every
        subclassed model; the second is None if it would be empty.
    """
    if not is_graph(model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        return None, model
    images, calls = symbolic_calls(model)
    places = joints(images, calls)
    constant = next((place for place, call in enumerate(calls) if not _is_constant(call)), len(calls))
    place = max(each for each in places if each <= constant)
    if not any(getattr(call.layer, "variables", ()) for call in calls[:place]):
        return None, model
    first = keras.Model(images, places[place], name=f"{model.name}_frozen")
    if place == len(calls):
        return first, None
    return first, keras.Model(places[place], calls[-1].output, name=f"{model.name}_rest")


def _is_constant(call):
    layer = call.layer
    if not isinstance(layer, keras.layers.Layer):  # an operation of Keras
        return True
    if layer.trainable_variables or averages(layer):
        return False
    return call.training is False or not seed_states(layer)


def last_block(images: keras.KerasTensor, calls: list[SymbolicCall]) -> int:
    """The number of calls before a network's last block.

    A block lies between two places of `joints` and has branches and weights, as in residual networks; the layers
    after it belong to it. In a network without branches, the block is the layers whose maps are as large as the last.

    Args:
        images: see `joints`.
        calls: see `joints`.
    """
    places = sorted(joints(images, calls))
    for start, end in reversed(list(itertools.pairwise(places))):
        if end - start > 1 and any(getattr(call.layer, "variables", ()) for call in calls[start:end]):
            return start
    weighted = [
        place
        for place, call in enumerate(calls)
        if getattr(call.layer, "variables", ()) and len(call.output.shape) == 4
    ]
    size = calls[weighted[-1]].output.shape[1:3]
    return next(place for place in weighted if calls[place].output.shape[1:3] == size)


def frozen_weights(model: keras.Model) -> list[keras.Variable]:
    """The weights that no training, no episode and no random layer changes, in the order of the model's variables."""
    changing = {id(variable) for variable in (*averages(model), *(state for state, _ in seed_states(model)))}
    return [variable for variable in model.non_trainable_variables if id(variable) not in changing]
