"""A learner without its head, for methods that compare images instead of adapting a classifier."""

import keras

from ml_lstm.keras_private import nested_layers
from ml_lstm.learners.structure import is_graph, last_layer, symbolic_calls


def embedding(learner: keras.Model) -> keras.Model:
    """All layers of a learner except the last one.

    Args:
        learner: a built Keras model, functional or `Sequential`, that ends in a linear Dense layer. That layer may be
            the last one of a nested model.

    Returns:
        The model from images to the input of that layer, features [n, F]; it shares the learner's weights.

    Raises:
        ValueError: if the last layer is not such a layer, or is unknown, as in a subclassed model.
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
            f"The learner {learner.name!r} is a subclassed model, so {part} cannot be removed: pass a model {instead}."
        )


def _refuse_other_heads(learner, head):
    if isinstance(head, keras.Model):
        _refuse_unknown(learner, head, "its head", "that returns features")
    if not isinstance(head, keras.layers.Dense):
        raise ValueError(
            f"The learner {learner.name!r} must end in a Dense layer, which gives logits and can be removed, "
            f"not in {type(head).__name__} {head.name!r}."
        )
    if head.activation is not keras.activations.linear:
        name = keras.activations.serialize(head.activation)
        raise ValueError(
            f"The learner {learner.name!r} must end in a linear Dense layer, which gives logits and can be removed, "
            f"not in one with activation {name!r}."
        )


def feature_maps(learner: keras.Model) -> keras.Model:
    """A learner up to its last feature maps.

    Args:
        learner: a built Keras model, functional or `Sequential`, with a layer whose output is [n, h, w, F]. That layer
            may be in a nested model.

    Returns:
        The model from images to the output of the last such layer; it shares the learner's weights.

    Raises:
        ValueError: if there is no such layer, or the layers after it cannot be removed, as in a subclassed model.
    """
    _refuse_unknown(learner, learner, "the part after its feature maps", "that returns feature maps [n, h, w, F]")
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
    """Whether a learner outputs logits or probabilities of classes, not features.

    It does if its last layer is Dense with `n_way` outputs, is called `"head"` as in `conv4`, or is a softmax. The
    last layer of a subclassed model is unknown, so there any layer of this kind counts.

    Args:
        learner: a built Keras model.
        n_way: the number of classes.
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
    """The part of a learner that computes features: its `embedding` if it ends in a class head, else all of it.

    So a method that compares features accepts the learner of a method that adapts logits, also after its training.

    Args:
        learner: a built Keras model.
        n_way: see `ends_in_class_head`.

    Raises:
        ValueError: for a subclassed model that ends in a class head.
    """
    return embedding(learner) if ends_in_class_head(learner, n_way) else learner
