"""The data and the method that a run's flags describe."""

from typing import Any

import keras

from ml_lstm import data, methods
from ml_lstm.errors import UserError
from ml_lstm.runs.directory import RunDirectory
from ml_lstm.training.progress import Progress

DATA_FLAGS = (
    "dataset",
    "omniglot_protocol",
    "cub_bounding_box",
    "split_fractions",
    "split_seed",
    "image_size",
    "n_way",
    "k_shot",
    "n_query",
    "train_n_way",
    "train_k_shot",
    "train_n_query",
    "augment",
)
"""What `load_data` needs to know."""


def load_data(flags: dict[str, Any], **other) -> data.FewShotData:
    """The data that `flags` describe; `other` arguments as for `ml_lstm.data.load`."""
    return data.load(**{name: flags[name] for name in DATA_FLAGS}, **other)


def build_method(flags: dict[str, Any], images: dict[str, Any]) -> methods.FewShotClassifier:
    """The untrained method that `flags` describe; its weights come from `--seed`.

    Args:
        flags: of the run.
        images: see `RunDirectory.images`.
    """
    keras.utils.set_random_seed(flags["seed"])
    method = methods.METHODS[flags["method"]]
    unused = () if method.trains_on == "classes" else ("train_classes",)
    return method.from_flags(flags, **{name: value for name, value in images.items() if name not in unused})


def trained_method(run: RunDirectory) -> tuple[methods.FewShotClassifier, int, Progress]:
    """The method with the best weights of a run, or the newest ones if none was validated yet.

    Returns:
        `(method, episodes it was trained for, Progress at that time)`.

    Raises:
        UserError: if nothing was saved, or all is damaged.
    """
    method, progress = build_method(run.flags(), run.images()), Progress()
    objects = {"model": method, "progress": progress}
    for store in (run.best(**objects), run.backup(**objects)):
        episodes = store.restore_newest()
        if episodes is not None:
            return method, episodes, progress
    raise UserError(f"{run.path} has no checkpoint yet: train it first.")
