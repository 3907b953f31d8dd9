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
