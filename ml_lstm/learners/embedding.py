"""A learner without its head: what the methods use that compare pictures rather than adapt a classifier."""

import keras


def embedding(learner: keras.Model) -> keras.Model:
    """All of a learner but its last layer.

    Args:
        learner: a built Keras model that ends in a Dense layer.

    Returns:
        The model from images to what that layer gets, features [n, F]; it shares the learner's weights.

    Raises:
        ValueError: if the last layer is another one.
    """
    head = learner.layers[-1]
    if not isinstance(head, keras.layers.Dense):
        raise ValueError(f"The learner must end in a Dense layer, not {head}.")
    return keras.Model(learner.input, head.input, name=f"{learner.name}_embedding")


def feature_maps(learner: keras.Model) -> keras.Model:
    """A learner up to its last feature maps.

    Args:
        learner: a built Keras model with a layer whose output is [n, h, w, F].

    Returns:
        The model from images to the output of the last such layer; it shares the learner's weights.

    Raises:
        ValueError: if there is none.
    """
    for layer in reversed(learner.layers[1:]):
        if len(layer.output.shape) == 4:
            return keras.Model(learner.input, layer.output, name=f"{learner.name}_feature_maps")
    raise ValueError(f"The learner {learner.name!r} has no layer with feature maps [n, h, w, F].")
