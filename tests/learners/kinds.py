"""The same small network in every way that Keras has to write one."""

import keras

SHAPE, WAY = (16, 16, 1), 3


def layers(**head):
    """Convolution, batch norm, pooling and a head, not built."""
    return [
        keras.layers.Conv2D(4, 3, padding="same"),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(WAY, **head),
    ]


class Subclassed(keras.Model):
    """Calls `layers` one after another."""

    def __init__(self, **head):
        super().__init__()
        self.parts = layers(**head)

    def call(self, images):  # Keras tells `training` to the layers
        for layer in self.parts:
            images = layer(images)
        return images


def functional(**head):
    x = inputs = keras.Input(SHAPE)
    for layer in layers(**head):
        x = layer(x)
    return keras.Model(inputs, x)


def sequential(**head):
    return keras.Sequential([keras.Input(SHAPE), *layers(**head)])


def sequential_built_later(**head):
    model = keras.Sequential(layers(**head))
    model.build((None, *SHAPE))
    return model


def sequential_on_a_functional(**head):
    *body, last = layers(**head)
    x = inputs = keras.Input(SHAPE)
    for layer in body:
        x = layer(x)
    return keras.Sequential([keras.Input(SHAPE), keras.Model(inputs, x), last])


def head_inside(**head):
    """The last layer is a model, whose last layer is the head."""
    first, *rest = layers(**head)
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, keras.Sequential(rest)(first(inputs)))


def layers_called_before(**head):
    """Its layers were called in another model first."""
    x = inputs = keras.Input(SHAPE)
    for layer in functional(**head).layers[1:]:
        x = layer(x)
    return keras.Model(inputs, x)


def subclassed(**head):
    model = Subclassed(**head)
    model(keras.ops.zeros((1, *SHAPE)))
    return model


GRAPHS = [
    functional,
    sequential,
    sequential_built_later,
    sequential_on_a_functional,
    head_inside,
    layers_called_before,
]
KINDS = [*GRAPHS, subclassed]
