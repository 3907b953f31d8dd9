"""Every touch of what Keras keeps to itself, in one place.

Another version of Keras may rename these attributes, or mend the faults that they work around: `CHECKED_KERAS` names
the one that all of them were checked with, and a test asks for another look at this file when it is no longer that.
"""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import keras

CHECKED_KERAS = "3.15"
"""Major and minor version of Keras that this file was checked with."""


def hide_strategy(model: keras.Model) -> None:
    """Keeps its `tf.distribute` strategy from a model, for which `fit` then is that of one device.

    Keras 3.15's own `fit` has two faults under `MultiWorkerMirroredStrategy`. Before training it takes the mean over
    the replicas of a batch of inputs, only to learn their shapes (`_maybe_symbolic_build`), which fails for images, as
    they are integers; and it takes the mean of a step's logs over their axis 0 (`reduce_per_replica`), which scalars
    lack. Both happen only where a model knows its strategy (`_distribute_strategy`).
    """
    model._distribute_strategy = None


def set_train_function(model: keras.Model, train_function: Callable[[Iterator], dict]) -> None:
    """Gives `fit` what makes a step of an iterator, in place of what Keras would make of `train_step`.

    With its strategy hidden from the model, Keras would run `train_step` on one replica alone. `make_train_function`
    leaves a `train_function` that is there as it is; that is documented for subclasses, but not that it may be set.
    """
    model.train_function = train_function


def leave_out_the_sum(optimizer: keras.optimizers.Optimizer) -> None:
    """Lets an optimizer take gradients for the same on every replica already.

    A Keras optimizer clips what it is given and sums over the replicas only afterwards (`_all_reduce_sum_gradients`).
    Given the replicas' own gradients it would clip each by itself, which is not what one device does; given their mean
    it would take that once for each replica. No argument leaves the sum out.
    """
    optimizer._all_reduce_sum_gradients = list


def nested_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A model and all layers inside it, those of its layers included; each once.

    `model.layers` has only its own, and nothing public leads into a layer that is made of layers.
    """
    return model._flatten_layers()


def failed_download(error: Exception) -> Path | None:
    """Where `keras.utils.get_file` would have put the file that it could not get.

    Its error tells the address, but not the name in the cache, which may be another one.

    Args:
        error: raised by a function of `keras.applications`.

    Returns:
        The file's place; None if the error comes from elsewhere.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "get_file" and "download_target" in frame.f_locals:
            return Path(frame.f_locals["download_target"])
    return None
