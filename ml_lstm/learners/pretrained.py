"""The networks of `keras.applications`, with weights from ImageNet or from a file, adapted fully or in part."""

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
        name: in snake case or in Keras's spelling: `mobilenet_v3_small`, `MobileNetV3Small`.

    Returns:
        None if there is no such network.
    """
    known = {_plain(each): each for each in applications()}
    return functools.partial(application, known[_plain(name)]) if _plain(name) in known else None


def _plain(name):
    return name.replace("_", "").lower()


@functools.cache
def natural_size(name: str) -> int:
    """Height and width in pixels of the images that a network's weights were trained on.

    Args:
        name: in snake case.
    """
    try:
        applications()[name](weights="imagenet", input_shape=(1, 1, 3))
    except ValueError as error:  # raised before the network is built or downloaded
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
    """A network of `keras.applications` without its own classes, followed by a dense head.

    The model includes the network's own `preprocess_input`, and grey images become three equal channels. Layers that
    are not adapted are frozen. All batch norm of a pretrained network is frozen too: an episode has too few images for
    its own statistics, so batch norm normalises by those that came with the weights.

    Args:
        name: of the network, in snake case.
        image_shape: `(height, width, channels)`, 1 channel or 3.
        n_way: classes, the width of the output.
        pretrained: source of the weights: imagenet, downloaded by Keras or already in its cache; none, for random
            weights; or a file of this network saved by Keras, with or without its own classes.
        adapted: the part that is trained and that an episode changes: only the dense layer after the network, which a
            method that compares features does not use; also the network's last block; or everything. The rest runs
            once for each support set, for any number of inner steps.

    Returns:
        A built model from [n, height, width, channels], in [0, 1], to logits [n, n_way].

    Raises:
        ValueError: for images whose size or number of channels the network cannot take, for missing weights, and for
            weights of another network.
    """
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise ValueError(f"{name} takes images of 1 or 3 channels, not {channels}.")
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
        # A frozen part runs as it does when served: without randomness.
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
    except Exception as error:  # Keras raises a plain Exception
        place = failed_download(error)
        if place is None:
            if isinstance(error, ValueError):
                raise ValueError(f"{name}: {sentence_of(error)}") from error
            raise
        (address, *_) = re.findall(r"https?://[^\s:]+", str(error)) or [place.name]
        reason = str(error).rpartition("--")[2].strip()
        raise ValueError(
            f"The weights of {name} cannot be downloaded ({reason}): put {address} at {place}, or pass its path as "
            "--pretrained=FILE."
        ) from error


def _load(network: keras.Model, name: str, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"pretrained: there is no file {path}.")
    try:
        if path.suffix == ".keras":
            _take_weights(network, keras.saving.load_model(path, compile=False, safe_mode=True))
        else:
            network.load_weights(path)
    except Exception as error:  # the file may come from anyone and can be wrong in any way
        raise ValueError(f"{path} does not hold weights of {name}: {sentence_of(error)}") from error


def _take_weights(network, source):
    """Sets the weights of the same network, without its own classes, which come last."""
    weights = source.weights[: len(network.weights)]
    if [weight.shape for weight in weights] != [weight.shape for weight in network.weights]:
        raise ValueError(f"it belongs to another network, {source.name!r}.")
    network.set_weights([weight.numpy() for weight in weights])
