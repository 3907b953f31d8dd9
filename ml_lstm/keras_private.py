"""All uses of Keras's private attributes, in one place.

Another version of Keras may rename these attributes, or fix the faults that they work around. `CHECKED_KERAS` is the
version that all of them were checked with. With another version a test fails, so that this file is checked again.
"""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import keras

CHECKED_KERAS = "3.15"
"""Major and minor version of Keras with which this file was checked."""


def hide_strategy(model: keras.Model) -> None:
    """Hides its `tf.distribute` strategy from a model, so that `fit` runs as on one device.

    Keras 3.15's own `fit` has two faults under `MultiWorkerMirroredStrategy`. Before training, it averages a batch of
    inputs over the replicas only to get their shapes (`_maybe_symbolic_build`), which fails for images because they are
    integers. And it averages a step's logs over their axis 0 (`reduce_per_replica`), which scalars do not have. Both
    happen only if a model knows its strategy (`_distribute_strategy`).
    """
    model._distribute_strategy = None


def set_train_function(model: keras.Model, train_function: Callable[[Iterator], dict]) -> None:
    """Sets the function with which `fit` runs one step on an iterator, instead of the one that Keras would create.

    With the strategy hidden from the model, Keras would run `train_step` on one replica only. `make_train_function`
    keeps an existing `train_function`. That is documented for subclasses; that it may be set is not documented.
    """
    model.train_function = train_function


def leave_out_the_sum(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes an optimizer skip its sum over replicas, for gradients that are already the same on every replica.

    A Keras optimizer clips its gradients and only then sums them over the replicas (`_all_reduce_sum_gradients`). With
    each replica's own gradients it would clip each of them separately, unlike one device. With their mean it would add
    the mean once per replica. No public argument turns the sum off.
    """
    optimizer._all_reduce_sum_gradients = list


def nested_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A model and all layers inside it, including nested ones; each once.

    `model.layers` has only the direct layers, and no public attribute gives the layers inside a layer.
    """
    return model._flatten_layers()


def failed_download(error: Exception) -> Path | None:
    """The path at which `keras.utils.get_file` would have stored a file that it could not download.

    Its error has the address, but not the name in the cache, which may differ.

    Args:
        error: raised by a function of `keras.applications`.

    Returns:
        The file's path; None if the error comes from elsewhere.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "get_file" and "download_target" in frame.f_locals:
            return Path(frame.f_locals["download_target"])
    return None
