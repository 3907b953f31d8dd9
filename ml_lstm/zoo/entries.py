"""The directory of a trained model in the zoo: reading one, and creating one from a run."""

import functools
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ml_lstm.command_line.records import whole, write_json
from ml_lstm.errors import UserError
from ml_lstm.methods import Calibrated, Calibration, FewShotClassifier
from ml_lstm.paths import for_tensorflow
from ml_lstm.runs import RunDirectory, settings, trained_method
from ml_lstm.runs.model_card import answering, limits, model_card

SHIPPED = Path(__file__).parent
_CARD, _WEIGHTS = "card.json", "weights.weights.h5"
_NAME = "[a-z][a-z0-9_]*"


def names() -> list[str]:
    """The models that ship with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{_CARD}"))


def load(name: str) -> FewShotClassifier:
    """A model of the zoo, ready for `adapt` and `classify`.

    Args:
        name: one of `names()`, or a directory, `DIR/NAME`, that `ml_lstm.zoo.add` wrote.

    Raises:
        UserError: if there is no such model, or it is damaged.
    """
    return find(name).method()


def card(name: str) -> dict[str, Any]:
    """The card of a model of the zoo: its training data and licence, figures, limits, calibration.

    Args:
        name: as for `load`.

    Raises:
        UserError: like `load`.
    """
    return find(name).card


def find(name: str) -> "Entry":
    """The entry of a model.

    Args:
        name: as for `load`.

    Raises:
        UserError: if there is no such model.
    """
    path = for_tensorflow(name) if os.sep in name else SHIPPED / name
    if (path / _CARD).is_file() and (os.sep in name or name in names()):
        return Entry(path)
    if os.sep in name:
        raise UserError(
            f"{path} is not a model of the zoo (no {_CARD}): give a directory that zoo.add wrote, or a name."
        )
    there = f"there are {', '.join(names())}" if names() else "it is empty"
    raise UserError(f"The zoo has no model {name!r}: {there}; or give a directory, DIR/NAME, that zoo.add wrote.")


class Entry:
    """A trained model in its own directory.

    Args:
        path: the directory; `find` checks that it exists.

    Attributes:
        run: its `flags.json`, which describes the model like that of a run.
    """

    def __init__(self, path: Path):
        self.path = path
        self.name = path.name
        self.run = RunDirectory(path)

    @functools.cached_property
    def card(self) -> dict[str, Any]:
        """See `ml_lstm.zoo.card`.

        Raises:
            UserError: if it is damaged.
        """
        try:
            return dict(json.loads((self.path / _CARD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise self._damaged(_CARD) from None

    def write_card(self, values: Mapping[str, Any]) -> None:
        """Replaces the card."""
        write_json(self.path / _CARD, dict(values))
        self.__dict__.pop("card", None)

    def tell_limits(self, method: FewShotClassifier) -> None:
        """Writes all that users should know beforehand into the card's `limits`, including what the model is bad at."""
        own = [*self.card["bad_at"], self.card["confidence"]]
        self.write_card(self.card | answering(method) | {"limits": limits(self.run, method) + own})

    def method(self) -> FewShotClassifier:
        """The method with its weights, calibrated if its card has a calibration.

        Raises:
            UserError: like `uncalibrated_method`.
        """
        method, found = self.uncalibrated_method(), self.card.get("calibration")
        if found is None:
            return method
        try:
            return Calibrated(method, Calibration(*(found[name] for name in Calibration._fields)))
        except (TypeError, KeyError):
            raise self._damaged(_CARD) from None

    def uncalibrated_method(self) -> FewShotClassifier:
        """The method with its weights, see `settings.build_lean_method`.

        Raises:
            UserError: if it is damaged, or of another version.
        """
        method = settings.build_lean_method(self.run.values(), self.run.problem())
        try:
            method.load_weights(self.path / _WEIGHTS)
        except (OSError, ValueError, KeyError):
            raise self._damaged(_WEIGHTS) from None
        return method

    def _damaged(self, file):
        return UserError(f"{self.path / file} is damaged, or of another version of ml_lstm: reinstall the package.")


def write_entry(run: RunDirectory, card: Mapping[str, Any], path: Path) -> Entry:
    """Creates an entry from a trained run; an existing entry is replaced.

    Args:
        run: trained.
        card: further fields of the card, besides those from the run, see `model_card`.
        path: the entry's directory; its name is the model's.

    Raises:
        UserError: for an invalid name, a network that comes from a file or a download, or a run that is not trained.
    """
    if not re.fullmatch(_NAME, path.name):
        raise UserError(f"--name={path.name}: use small letters, digits and _, a letter first.")
    values = run.values()
    if settings.keeps_network(values):
        raise UserError(
            f"--learner={values['learner']} comes from a file or a download, which the zoo does not store: train one "
            "of ml_lstm's own networks."
        )
    method, episodes, progress = trained_method(run, lean=True)
    path.mkdir(parents=True, exist_ok=True)
    run.copy_flags(path)
    save_halved(method, path / _WEIGHTS)
    entry = Entry(path)
    told = {"train_seconds": round(progress.seconds, 1), "figures": []}
    entry.write_card(model_card(run, method, episodes) | told | dict(card))
    entry.tell_limits(method)
    return entry


def save_halved(method: FewShotClassifier, path: Path) -> None:
    """Writes weights like `save_weights`, but with matrices and kernels in half precision, to save half the space.

    Vectors stay float32: they are small, and include variances. Tensors with a value too large for half precision
    stay float32 too.

    Args:
        method: with its weights.
        path: a file `*.weights.h5`.
    """
    with tempfile.TemporaryDirectory() as directory, whole(path) as place:
        plain = Path(directory, path.name)
        method.save_weights(plain)
        with h5py.File(plain) as source, h5py.File(place, "w") as target:
            target.attrs.update(source.attrs)
            source.visititems(lambda name, item: _copy_halved(item, target, name))


def _copy_halved(item, target, name):
    if isinstance(item, h5py.Group):
        copied = target.require_group(name)
    else:
        values = _halved(item[()])
        compression = {"compression": "gzip", "shuffle": True} if values.ndim else {}
        copied = target.create_dataset(name, data=values, **compression)
    copied.attrs.update(item.attrs)


def _halved(values):
    if values.ndim < 2 or values.dtype != np.float32 or np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        return values
    return values.astype(np.float16)
