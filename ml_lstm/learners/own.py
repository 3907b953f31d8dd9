"""A user's own network: a function by its name, or a file that Keras saved."""

import functools
import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras

from ml_lstm import options
from ml_lstm.errors import sentence_of
from ml_lstm.learners.preprocessing import Preprocessing
from ml_lstm.learners.structure import output_shape
from ml_lstm.options import checked
from ml_lstm.paths import expanded


@functools.cache
def own_function(name: str) -> Callable[..., keras.Model]:
    """A function that makes a learner, and has its options.

    Args:
        name: `package.module:function`. The function is like `conv4`: it takes `(image_shape, n_way)` and annotated
            keyword arguments, which are the options, and returns a built Keras model that ends in logits.

    Returns:
        The function, with its errors reported in one line.

    Raises:
        ValueError: if there is no such function, or one of its options has a type that no flag can have.
    """
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # from a user's own code
        raise ValueError(f"learner {name}: {module_name} cannot be imported ({_told(error)}).") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        what = "has no such function" if function is None else "has no function there, but something else"
        raise ValueError(f"learner {name}: {module.__file__ or module_name} {what}.")
    try:
        options.of(function)
    except (TypeError, ValueError, NameError) as error:
        raise ValueError(f"learner {name}: {error}") from error

    @functools.wraps(function)
    def make(*arguments, **given):
        options.check(function, given)
        try:
            learner = function(*arguments, **given)
        except Exception as error:
            raise ValueError(f"learner {name} failed: {_told(error)}.") from error
        if not isinstance(learner, keras.Model):
            raise ValueError(f"learner {name} must return a keras.Model, not {type(learner).__name__}.")
        return learner

    return make


def _told(error):
    """An error's message, and where in a user's code it was raised."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    where = f", {frames[-1].filename}:{frames[-1].lineno}" if len(frames) > 1 else ""
    return f"{type(error).__name__}: {sentence_of(error)}{where}"


@checked
def own_file(
    path: str,
    image_shape: tuple[int, int, int],
    n_way: int,
    *,
    pixels: Literal["normalised", "unit", "byte"] = "normalised",
) -> keras.Model:
    """A network saved by `keras.Model.save`.

    Grey images become three channels if the network needs three. The file is read in Keras's safe mode, which
    does not run code from the file.

    Args:
        path: FILE.keras.
        image_shape: `(height, width, channels)`.
        n_way: classes.
        pixels: the network's input: pixels normalised by the mean and the standard deviation of the data; or, for a
            network that normalises them itself, unchanged pixels from 0 to 1 or from 0 to 255.

    Returns:
        The model from [n, height, width, channels] to the network's output.

    Raises:
        ValueError: for a file that is not such a network, or a network that does not take such images.
    """
    network = load(path)
    x = inputs = keras.Input(image_shape)
    if pixels != "normalised":
        x = Preprocessing(largest=1.0 if pixels == "unit" else 255.0)(x)
    wants = network.input_shape[-1] if isinstance(network.input_shape, tuple) else None
    if image_shape[-1] == 1 and wants == 3:
        x = keras.layers.Concatenate()([x, x, x])
    output_shape(network, tuple(x.shape[1:]))  # raises ValueError for other shapes
    return network if x is inputs else keras.Model(inputs, network(x), name=network.name)


def load(path: str | Path) -> keras.Model:
    """Loads the network from a file, in Keras's safe mode.

    Raises:
        ValueError: for a file that is not such a network.
    """
    place = expanded(path)
    if not place.is_file():
        raise ValueError(f"learner: there is no file {place}.")
    try:
        network = keras.saving.load_model(place, compile=False, safe_mode=True)
    except Exception as error:  # the file may come from anyone and can be wrong in any way
        raise ValueError(f"learner: {place} cannot be loaded by Keras: {sentence_of(error)}") from error
    if not isinstance(network, keras.Model):
        raise ValueError(f"learner: {place} holds no keras.Model but {type(network).__name__}.")
    return network


@functools.cache
def side_in(path: str) -> int | None:
    """Height and width of the images that the network in a file takes; None if they may vary or are not equal."""
    shape = load(path).input_shape
    known = isinstance(shape, tuple) and len(shape) == 4 and shape[1] == shape[2]
    return shape[1] if known else None
