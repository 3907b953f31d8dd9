"""What stands between images and a network that normalises them by itself."""

import inspect
import sys

import keras

from ml_lstm.keras_private import nested_layers


def applications() -> dict[str, callable]:
    """The networks of `keras.applications`, by their names in snake case: `mobilenet_v3_small`, `resnet50`, ..."""
    found = vars(keras.applications).values()
    return {snake_case(function): function for function in found if inspect.isfunction(function)}


def snake_case(function) -> str:
    """The name of a function of `keras.applications` as a module would have it: `ConvNeXtTiny` is `convnext_tiny`.

    Where its words part is told by the module that it is in, `convnext`.
    """
    module, name = function.__module__.rpartition(".")[2], function.__name__.lower()
    start = module.replace("_", "")
    rest = name.removeprefix(start)
    if rest == name:
        return name
    return f"{module}_{rest}" if rest and not rest.isdigit() else module + rest


@keras.saving.register_keras_serializable("ml_lstm")
class Preprocessing(keras.layers.Layer):
    """Makes of images in [0, 1] what a network was trained on.

    A learner that has this layer gets images as they are: no method normalises them by the data's mean and deviation.

    Args:
        network: of `keras.applications`, in snake case, whose `preprocess_input` is taken; None for none.
        largest: what a white pixel is before that: 255, or 1.

    Raises:
        ValueError: for a network that there is not.
    """

    def __init__(self, network: str | None = None, largest: float = 255.0, **kwargs):
        super().__init__(**kwargs)
        self.network, self.largest = network, largest
        self._preprocess = _preprocess_input(network) if network else lambda images: images
        self.built = True

    def call(self, images):
        """Images [n, H, W, C] in [0, 1], three channels for a network of `keras.applications`."""
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
    """Whether a learner is to get images in [0, 1] rather than normalised ones; see `Preprocessing`."""
    return learner is not None and any(isinstance(layer, Preprocessing) for layer in nested_layers(learner))
