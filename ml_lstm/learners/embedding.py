"""A learner without its head: what the methods use that compare images rather than adapt a classifier."""

import keras

from ml_lstm.keras_private import nested_layers
from ml_lstm.learners.structure import is_graph, last_layer, symbolic_calls


def embedding(learner: keras.Model) -> keras.Model:
    """All of a learner but its last layer.

    Args:
        learner: a built Keras model, functional or `Sequential`, that ends in a linear Dense layer. That layer may be
            the last one of a model inside.

    Returns:
        The model from images to what that layer gets, features [n, F]; it shares the learner's weights.

    Raises:
        ValueError: if the last layer is another one, or cannot be known, as in a subclassed model.
    """
    _refuse_unknown(learner, learner, "its head", "that returns features")
    images, calls = symbolic_calls(learner)
    *_, last = calls
    if is_graph(last.layer):
        features = embedding(last.layer)(last.input)
    else:
        _refuse_other_heads(learner, last.layer)
        features = last.input
    return keras.Model(images, features, name=f"{learner.name}_embedding")


def _refuse_unknown(learner, model, part, instead):
    if not is_graph(model):
        raise ValueError(
            f"The learner {learner.name!r} is a subclassed model, of which {part} cannot be taken off: pass a model "
            f"{instead}."
        )


def _refuse_other_heads(learner, head):
    if isinstance(head, keras.Model):
        _refuse_unknown(learner, head, "its head", "that returns features")
    if not isinstance(head, keras.layers.Dense):
        raise ValueError(
            f"The learner {learner.name!r} must end in a Dense layer, which gives logits and can be taken off, "
            f"not in {type(head).__name__} {head.name!r}."
        )
    if head.activation is not keras.activations.linear:
        name = keras.activations.serialize(head.activation)
        raise ValueError(
            f"The learner {learner.name!r} must end in a linear Dense layer, which gives logits and can be taken off, "
            f"not in one with activation {name!r}."
        )


def feature_maps(learner: keras.Model) -> keras.Model:
    """A learner up to its last feature maps.

    Args:
        learner: a built Keras model, functional or `Sequential`, with a layer whose output is [n, h, w, F]. That layer
            may be in a model inside.

    Returns:
        The model from images to the output of the last such layer; it shares the learner's weights.

    Raises:
        ValueError: if there is none, or what follows it cannot be taken off, as in a subclassed model.
    """
    _refuse_unknown(learner, learner, "what follows its feature maps", "that returns feature maps [n, h, w, F]")
    maps = _feature_maps(learner)
    if maps is None:
        raise ValueError(f"The learner {learner.name!r} has no layer with feature maps [n, h, w, F].")
    return keras.Model(*maps, name=f"{learner.name}_feature_maps")


def _feature_maps(model):
    images, calls = symbolic_calls(model)
    for call in reversed(calls):
        if isinstance(call.output, keras.KerasTensor) and len(call.output.shape) == 4:
            return images, call.output
        inside = _feature_maps(call.layer) if is_graph(call.layer) else None
        if inside:
            return images, keras.Model(*inside, name=f"{call.layer.name}_feature_maps")(call.input)
    return None


def ends_in_class_head(learner: keras.Model, n_way: int) -> bool:
    """Whether a learner's output are logits or probabilities of classes, rather than features.

    They are, if the last layer is a Dense one of `n_way` outputs, or called `"head"`, as in `conv4`, or a softmax. A
    subclassed model does not tell its last layer: it counts if any of its layers is such a one.

    Args:
        learner: a built Keras model.
        n_way: classes that the learner would tell apart.
    """
    last = last_layer(learner)
    candidates = nested_layers(learner) if last is None else [last]
    return any(_is_class_head(layer, n_way) for layer in candidates)


def _is_class_head(layer, n_way):
    if isinstance(layer, keras.layers.Dense):
        return layer.units == n_way or layer.name == "head"
    activation = getattr(layer, "activation", None)  # of keras.layers.Activation
    return activation is keras.activations.softmax or type(layer).__name__.lower() == "softmax"


def without_class_head(learner: keras.Model, n_way: int) -> keras.Model:
    """The part of a learner that makes features: its `embedding` if it ends in a class head, else all of it.

    So a method that compares features takes what a method that adapts logits takes, and what it has made of that.

    Args:
        learner: a built Keras model.
        n_way: see `ends_in_class_head`.

    Raises:
        ValueError: for a subclassed model that ends in a class head.
    """
    return embedding(learner) if ends_in_class_head(learner, n_way) else learner
