"""The layer between images and a network that normalises them itself."""

import inspect
import sys

import keras

from ml_lstm.keras_private import nested_layers


def applications() -> dict[str, callable]:
    """The networks of `keras.applications`, by their names in snake case: `mobilenet_v3_small`, `resnet50`, ..."""
    found = vars(keras.applications).values()
    return {snake_case(function): function for function in found if inspect.isfunction(function)}


def snake_case(function) -> str:
    """The name of a function of `keras.applications` in the style of modules: `ConvNeXtTiny` is `convnext_tiny`.

    The name of the function's module, `convnext`, shows where its words are split.
    """
    module, name = function.__module__.rpartition(".")[2], function.__name__.lower()
    start = module.replace("_", "")
    rest = name.removeprefix(start)
    if rest == name:
        return name
    return f"{module}_{rest}" if rest and not rest.isdigit() else module + rest


@keras.saving.register_keras_serializable("ml_lstm")
class Preprocessing(keras.layers.Layer):
    """Converts images in [0, 1] to the pixel values that a network was trained on.

    A learner that has this layer gets images as they are: no method normalises them by the data's mean and standard
    deviation.

    Args:
        network: a network of `keras.applications`, in snake case, whose `preprocess_input` is applied; None for none.
        largest: the value of a white pixel before that: 255 or 1.

    Raises:
        ValueError: for an unknown network.
    """

    def __init__(self, network: str | None = None, largest: float = 255.0, **kwargs):
        super().__init__(**kwargs)
        self.network, self.largest = network, largest
        self._preprocess = _preprocess_input(network) if network else lambda images: images
        self.built = True

    def call(self, images):
        """Processes images [n, H, W, C] in [0, 1]; a network of `keras.applications` needs three channels."""
        return self._preprocess(images * self.largest)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"network": self.network, "largest": self.largest}


def _preprocess_input(network):
    known = applications()
    if network not in known:
        raise ValueError(f"keras.applications has no network {network!r}.")
    return sys.modules[known[network].__module__].preprocess_input


def normalizes_images(learner: keras.Model | None) -> bool:
    """Whether a learner needs images in [0, 1] instead of normalised ones; see `Preprocessing`."""
    return learner is not None and any(isinstance(layer, Preprocessing) for layer in nested_layers(learner))
