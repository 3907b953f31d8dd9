"""Dense layers on pixels, as in the continual-learning experiments of Meta Networks and of earlier work."""

import keras

from ml_lstm.options import Count, checked


@checked
def mlp(image_shape: tuple[int, int, int], n_way: int, *, units: Count = 64, hidden_layers: Count = 2) -> keras.Model:
    """Dense layers with ReLUs, then a dense head; three in all, as in Munkhdalai & Yu (ICML 2017, section 4.2.3).

    Args:
        image_shape: `(height, width, channels)`.
        n_way: classes, the width of the output.
        units: units of each hidden layer.
        hidden_layers: the number of hidden layers.

    Returns:
        A built model from [n, height, width, channels] to logits [n, n_way].

    Raises:
        ValueError: for an option out of range.
    """
    inputs = keras.Input(image_shape)
    x = keras.layers.Flatten()(inputs)
    for _ in range(hidden_layers):
        x = keras.layers.Dense(units, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, keras.layers.Dense(n_way, name="head")(x), name="mlp")
