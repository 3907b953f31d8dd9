"""The networks of `keras.applications`, with weights from ImageNet or from a file, adapted in whole or in part."""

import functools
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import keras

from ml_lstm.errors import sentence_of
from ml_lstm.keras_private import failed_download, nested_layers
from ml_lstm.learners.freezing import joints, last_block
from ml_lstm.learners.preprocessing import Preprocessing, applications
from ml_lstm.learners.structure import symbolic_calls
from ml_lstm.options import Rule, checked
from ml_lstm.paths import expanded

_FILES = (".weights.h5", ".h5", ".keras")
_USUAL_SIZE = 224

Weights = Annotated[
    str,
    Rule(
        lambda value: value in ("imagenet", "none") or value.partition("@")[0].endswith(_FILES),
        "imagenet, none, or a file that ends in .keras, .weights.h5 or .h5",
    ),
]


def find_application(name: str) -> Callable[..., keras.Model] | None:
    """A network of `keras.applications` as a learner: `functools.partial` of `application`.

    Args:
        name: in snake case or as Keras spells it; `mobilenet_v3_small`, `MobileNetV3Small`.

    Returns:
        None if there is no such network.
    """
    known = {_plain(each): each for each in applications()}
    return functools.partial(application, known[_plain(name)]) if _plain(name) in known else None


def _plain(name):
    return name.replace("_", "").lower()


@functools.cache
def natural_size(name: str) -> int:
    """Height and width in pixels of the images that a network's weights come from.

    Args:
        name: in snake case.
    """
    try:
        applications()[name](weights="imagenet", input_shape=(1, 1, 3))
    except ValueError as error:  # before it has made, or asked for, anything
        size = re.search(r"should be \((\d+), \1, 3\)", str(error))
        return int(size[1]) if size else _USUAL_SIZE
    raise AssertionError(f"{name} takes images of one pixel.")


@checked
def application(
    name: str,
    image_shape: tuple[int, int, int],
    n_way: int,
    *,
    pretrained: Weights = "imagenet",
    adapted: Literal["head", "last_block", "all"] = "head",
) -> keras.Model:
    """A network of `keras.applications` without its own classes, and a dense head.

    The network's own `preprocess_input` is in it, and grey images become three equal channels. What is not adapted is
    frozen, and so is the batch norm of a pretrained network, all of it: an episode has too few images for statistics of
    its own, and normalises by those of the weights.

    Args:
        name: of the network, in snake case.
        image_shape: `(height, width, channels)`, 1 channel or 3.
        n_way: classes, the width of the output.
        pretrained: where weights come from: imagenet, as Keras downloads them, or keeps them from before; none, chance;
            or a file that Keras saved of this network, with or without its own classes.
        adapted: what can be trained, and what an episode changes: the dense layer behind the network alone, which a
            method that compares features does without; the network's last block too; or all of it. What is not, is run
            once for a support set, however many inner steps there are.

    Returns:
        A built model from [n, height, width, channels], in [0, 1], to logits [n, n_way].

    Raises:
        ValueError: for images of a size or a number of channels that the network cannot take, weights that are not
            there, or those of another network.
    """
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise ValueError(f"{name} takes images of 1 or 3 channels, not of {channels}.")
    network = _without_classes(name, (height, width, 3), pretrained)
    images, calls = symbolic_calls(network)
    start = {"head": len(calls), "last_block": last_block(images, calls), "all": 0}[adapted]
    tensors = joints(images, calls)
    maps = max(place for place, tensor in tensors.items() if len(tensor.shape) == 4)
    x = inputs = keras.Input(image_shape)
    if channels == 1:
        x = keras.layers.Concatenate()([x, x, x])
    x = Preprocessing(name)(x)
    places = sorted({0, start, maps, len(calls)})
    for first, last in itertools.pairwise(places):
        part = keras.Model(tensors[first], tensors[last], name=f"{name}_{first}_{last}")
        if last <= start:
            part.trainable = False
        elif pretrained != "none":
            _freeze_batch_norm(part)
        # A frozen part is as it will be when served: nothing random is in it either.
        x = part(x, training=False) if last <= start else part(x)
    return keras.Model(inputs, keras.layers.Dense(n_way, name="head")(x), name=name)


def _freeze_batch_norm(model):
    for layer in nested_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _without_classes(name, shape, pretrained):
    kind = applications()[name]
    made = {"include_top": False, "input_shape": shape, "pooling": "avg"}
    if pretrained == "imagenet":
        return _with_imagenet(name, kind, made)
    try:
        network = kind(weights=None, **made)
    except ValueError as error:
        raise ValueError(f"{name} does not take images of {shape[0]}x{shape[1]}: {sentence_of(error)}") from error
    if pretrained != "none":
        _load(network, name, expanded(pretrained))
    return network


def _with_imagenet(name, kind, made):
    try:
        return kind(weights="imagenet", **made)
    except Exception as error:  # as Keras raises it
        place = failed_download(error)
        if place is None:
            if isinstance(error, ValueError):
                raise ValueError(f"{name}: {sentence_of(error)}") from error
            raise
        (address, *_) = re.findall(r"https?://[^\s:]+", str(error)) or [place.name]
        reason = str(error).rpartition("--")[2].strip()
        raise ValueError(
            f"The weights of {name} cannot be downloaded ({reason}): put {address} at {place}, or give "
            "--pretrained=FILE with where it is."
        ) from error


def _load(network: keras.Model, name: str, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"pretrained: there is no file {path}.")
    try:
        if path.suffix == ".keras":
            _take_weights(network, keras.saving.load_model(path, compile=False, safe_mode=True))
        else:
            network.load_weights(path)
    except Exception as error:  # whatever is wrong with a file that anyone may have written
        raise ValueError(f"{path} does not hold weights of {name}: {sentence_of(error)}") from error


def _take_weights(network, source):
    """Those of the same network, its own classes, which come last, left out."""
    weights = source.weights[: len(network.weights)]
    if [weight.shape for weight in weights] != [weight.shape for weight in network.weights]:
        raise ValueError(f"it is of another network, {source.name!r}.")
    network.set_weights([weight.numpy() for weight in weights])
