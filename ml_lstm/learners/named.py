"""The learners that `--learner` names: the networks here, those of `keras.applications`, and a user's own."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import keras

from ml_lstm.learners.conv4 import conv4
from ml_lstm.learners.mlp import mlp
from ml_lstm.learners.own import own_file, own_function, side_in
from ml_lstm.learners.pretrained import application, find_application, natural_size
from ml_lstm.learners.resnet12 import resnet12
from ml_lstm.options import target
from ml_lstm.paths import expanded

LEARNERS = {
    "conv4": conv4,
    "conv4_2pool": functools.partial(conv4, pools=2, centred=False, unit_features=False),
    "conv4_centred": functools.partial(conv4, pools=4, centred=True),
    "mlp": mlp,
    "resnet12": resnet12,
}
"""Functions from `(image_shape, n_way)` and options to a built model that ends in logits, by their `--learner` name."""

KINDS = {"NETWORK_OF_KERAS_APPLICATIONS": application, "FILE.keras": own_file}
"""Other forms of a name besides `package.module:function`, each with the function that has the learner's options."""

_DIGEST = "@sha256:"


def find_learner(name: str) -> Callable[..., keras.Model]:
    """The learner with a name: one of `LEARNERS`, a network of `keras.applications` (`mobilenet_v3_small`),
    `package.module:function` or `FILE.keras`.

    Raises:
        ValueError: for an unknown name.
    """
    if name in LEARNERS:
        return LEARNERS[name]
    if name.partition(_DIGEST)[0].endswith(".keras"):
        if _DIGEST not in name and not expanded(name).is_file():
            raise ValueError(f"learner: there is no file {expanded(name)}.")
        return functools.partial(own_file, name)
    if ":" in name:
        return own_function(name)
    found = find_application(name)
    if not found:
        raise ValueError(
            f"learner must be one of {', '.join(sorted(LEARNERS))}, a network of keras.applications such as "
            f"mobilenet_v3_small, package.module:function, or FILE.keras, got {name!r}."
        )
    return found


def natural_image_size(name: str) -> int | None:
    """Height and width in pixels of the images that a learner is made for; None if it has no preferred size.

    Raises:
        ValueError: like `find_learner`.
    """
    learner = find_learner(name)
    if target(learner) is application:
        return natural_size(*learner.args)
    return side_in(name) if target(learner) is own_file and _DIGEST not in name else None


def is_kept(name: str) -> bool:
    """Whether a run stores the network that it starts from, because it comes from a file or a download."""
    return target(find_learner(name)) in (application, own_file)


def as_recorded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Option values with each network under a single name, however the user spelled it.

    A file is identified by its name and its content, not by its path.
    """
    told = {}
    for option in ("learner", "pretrained"):
        value = values.get(option)
        if isinstance(value, str) and value.endswith((".keras", ".h5")) and expanded(value).is_file():
            digest = hashlib.sha256(expanded(value).read_bytes()).hexdigest()
            told[option] = f"{expanded(value).name}{_DIGEST}{digest[:32]}"
    learner = find_learner(values["learner"]) if "learner" in values else None
    if target(learner) is application:
        (told["learner"],) = learner.args
    return dict(values) | told
