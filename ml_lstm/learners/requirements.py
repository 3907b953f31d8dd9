"""Checks of learners before any training: one error message for each reason why a method cannot use one."""

import keras

from ml_lstm.keras_private import nested_layers
from ml_lstm.learners.embedding import ends_in_class_head
from ml_lstm.learners.structure import last_layer, output_shape, trace

# Nonlinear layers and operations of Keras, and operations of TensorFlow, in lower case.
_ACTIVATIONS = {"softmax", "logsoftmax", "sigmoid", "logsigmoid", "hardsigmoid", "tanh", "hardtanh"}
_ACTIVATIONS |= {"relu", "relu6", "leakyrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "softplus", "softsign"}
_FORWARDING = ("Identity", "IdentityN", "Cast", "Reshape", "Squeeze")


def refuse_unbuilt(learner: keras.Model) -> None:
    """Raises an error for an object that is not a Keras model, or a model that has no weights yet.

    Raises:
        ValueError: for these.
    """
    if not isinstance(learner, keras.Model):
        raise ValueError(f"The learner must be a keras.Model, got {type(learner).__name__}.")
    # Keras sets `built` on a subclassed model after `build(shape)`, though its layers have no weights yet.
    if not learner.built or not (learner.variables or all(layer.built for layer in nested_layers(learner))):
        raise ValueError(f"The learner {learner.name!r} is not built: call it once on images first.")


def refuse_unadaptable(learner: keras.Model) -> None:
    """Raises an error for a model that is not built or has no trainable variable.

    Raises:
        ValueError: for these.
    """
    refuse_unbuilt(learner)
    if not learner.trainable_variables:
        raise ValueError(
            f"The learner {learner.name!r} has no trainable variable, so nothing can be adapted: set "
            "`trainable = True` on a layer with weights."
        )


def require_logits(learner: keras.Model, image_shape: tuple[int, int, int]) -> int:
    """Checks that a learner outputs logits, which methods that adapt a classifier need.

    Args:
        learner: a Keras model.
        image_shape: `(height, width, channels)` of its input.

    Returns:
        The number of classes.

    Raises:
        ValueError: for a learner that is not built or has nothing to adapt, an output shape other than [n, n_way], or
            an activation after the last weights.
    """
    refuse_unadaptable(learner)
    shape = output_shape(learner, image_shape)
    if len(shape) != 2:
        raise ValueError(f"The output of the learner {learner.name!r} must be logits [n, n_way], got {shape}.")
    activation = _last_activation(learner, image_shape)
    if activation:
        raise ValueError(
            f"The learner {learner.name!r} must give logits, but its output goes through {activation!r}: remove this "
            "activation, as the loss has its own softmax."
        )
    return shape[-1]


def _last_activation(learner, image_shape):
    last = last_layer(learner)
    if last is None:
        operation = trace(learner, image_shape).op
        while operation.type in _FORWARDING:
            operation = operation.inputs[0].op
        name = operation.type
    else:
        activation = getattr(last, "activation", keras.activations.linear)
        if activation is not keras.activations.linear:
            return getattr(activation, "__name__", type(activation).__name__)
        name = type(last).__name__
    return name if name.lower() in _ACTIVATIONS else None


def require_features(learner: keras.Model, image_shape: tuple[int, int, int], n_way: int, rank: int = 2) -> tuple:
    """Checks that a learner outputs features, which methods that compare features need.

    Args:
        learner: a Keras model.
        image_shape: `(height, width, channels)` of its input.
        n_way: see `refuse_class_head`.
        rank: of the output: 2 for features [n, F], 4 for feature maps [n, h, w, F].

    Returns:
        The shape of the output, `(None, ...)`.

    Raises:
        ValueError: for a learner that is not built, an output of another rank, or logits.
    """
    refuse_unbuilt(learner)
    shape = output_shape(learner, image_shape)
    if len(shape) != rank:
        kind, function = {2: ("features [n, F]", "embedding"), 4: ("feature maps [n, h, w, F]", "feature_maps")}[rank]
        raise ValueError(
            f"The output of the learner {learner.name!r} must be {kind}, got {shape}: ml_lstm.learners.{function} "
            "removes the layers after them."
        )
    refuse_class_head(learner, n_way)
    return shape


def refuse_class_head(learner: keras.Model, n_way: int) -> None:
    """Raises an error for a learner whose logits a method would use as features; see `ends_in_class_head`.

    Args:
        learner: a built Keras model.
        n_way: the method's number of classes.

    Raises:
        ValueError: for such a learner.
    """
    if ends_in_class_head(learner, n_way):
        raise ValueError(
            f"The learner {learner.name!r} ends in a class head, and logits are not features to compare: remove it "
            "with ml_lstm.learners.embedding, or give a Dense layer of features a width other than n_way "
            f"({n_way}) and a name other than 'head'."
        )


def refuse_wrong_second_derivatives(learner: keras.Model) -> None:
    """Raises an error for a learner through which the gradient of a gradient would be wrong.

    This is the case for `keras.layers.BatchNormalization` that is not frozen: its `tf.nn.moments` stops a gradient
    that is zero, but the derivative of that gradient is not zero.

    Args:
        learner: a Keras model.

    Raises:
        ValueError: for such a learner.
    """
    for layer in nested_layers(learner):
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            raise ValueError(
                f"The learner {learner.name!r} has keras.layers.BatchNormalization ({layer.name!r}), whose second "
                "derivatives are wrong in TensorFlow: use ml_lstm.learners.EpisodicBatchNormalization instead, "
                "or first-order gradients."
            )
