"""Checkpoints that survive a kill: complete or invisible, verified when read, the last two kept."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from ml_lstm.errors import UserError
from ml_lstm.whole_files import bring_to_disk

# Errors from reading such a checkpoint; IndexError: the file is truncated.
_DAMAGED = (tf.errors.OpError, ValueError, IndexError)


class CheckpointStore:
    """A directory of TensorFlow checkpoints `episode-<number>`.

    A checkpoint is written under another name, flushed to the disk, and renamed, its index last: a checkpoint whose
    index exists is complete. Each tensor has a checksum that is verified when it is read.

    Args:
        directory: created at the first save.
        keep: how many of the newest to keep.
        left_out: variables of a model that are stored elsewhere.
        objects: the objects to save and restore, by name.

    Raises:
        UserError: if the path exists and is not a directory.
    """

    def __init__(self, directory: Path, keep: int = 2, left_out: Sequence[keras.Variable] = (), **objects):
        self.directory = Path(directory)
        if os.path.lexists(self.directory) and not self.directory.is_dir():
            raise UserError(f"{self.directory} is not a directory, as in a run: remove it, or restore the run.")
        self._keep = keep
        self._left_out = {id(variable) for variable in left_out}
        self._checkpoint = tf.train.Checkpoint(**{name: self._kept(value) for name, value in objects.items()})
        self._models = [value for value in objects.values() if isinstance(value, keras.Model)]

    def _kept(self, saved):
        """The object to save; for a model with variables left out, its other variables by their index."""
        if not (self._left_out and isinstance(saved, keras.Model)):
            return saved
        kept = (variable for variable in saved.variables if id(variable) not in self._left_out)
        return tf.train.Checkpoint(variables={str(place): variable.value for place, variable in enumerate(kept)})

    def numbers(self) -> list[int]:
        """Episode numbers of the complete checkpoints, oldest first."""
        found = (re.fullmatch(r"episode-([0-9]{1,15})\.index", path.name) for path in self.directory.glob("*.index"))
        return sorted(int(match[1]) for match in found if match)

    def save(self, number: int) -> None:
        """Writes a checkpoint, then removes all but the newest ones.

        Raises:
            UserError: if a model has weights that a checkpoint would not contain.
        """
        self._require_all_weights()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._remove_unfinished()  # from a run that was killed
        try:
            self._checkpoint.write(str(self.directory / "unfinished"))
            parts = sorted(self.directory.glob("unfinished.*"))  # .data before .index
            for part in parts:
                bring_to_disk(part)
            self._remove(number)  # from a run killed before it had saved everything; its recorded time may differ
            for part in parts:
                os.replace(part, self.directory / f"episode-{number}{part.suffix}")
        finally:
            self._remove_unfinished()
        for old in [kept for kept in self.numbers() if kept <= number][: -self._keep]:
            self._remove(old)

    def _require_all_weights(self):
        for model in self._models if not self._left_out else ():
            found = {id(trackable) for trackable in tf.train.TrackableView(model).descendants()}
            for weight in model.weights:
                if not {id(weight), id(weight.value)} & found:
                    raise UserError(
                        f"{weight.path} would not be saved, as TensorFlow does not track it: make its layer an "
                        "attribute of the layer that uses it; layers in a Python list are lost."
                    )

    def _remove(self, number):
        """Removes a checkpoint, its index first: after a kill during this, what remains is not a checkpoint."""
        for path in sorted(self.directory.glob(f"episode-{number}.*"), reverse=True):
            path.unlink()

    def _remove_unfinished(self):
        """Removes files whose writing or removal was not finished."""
        for path in self.directory.glob("unfinished*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for data in self.directory.glob("episode-*.data-*"):
            if not data.with_suffix(".index").exists():
                data.unlink()

    def restore_newest(self) -> int | None:
        """Reads the newest undamaged checkpoint, and logs a warning for each damaged one.

        Returns:
            Its number, or None if there is no checkpoint at all.

        Raises:
            UserError: if there are checkpoints and every one is damaged, or one belongs to another model.
        """
        numbers = self.numbers()
        for number in reversed(numbers):
            try:
                self._read(number)
            except UserError:
                raise
            except _DAMAGED as error:
                name = self.directory / f"episode-{number}"
                logging.warning("%s is damaged (%s): using the one before.", name, type(error).__name__)
            else:
                return number
        if numbers:
            raise UserError(
                f"{self.directory}: every checkpoint is damaged: restore one, or remove the directory to go without."
            )
        return None

    def restore(self, number: int) -> None:
        """Reads a checkpoint that another process has read before.

        Raises:
            UserError: if it is missing, damaged or belongs to another model.
        """
        try:
            self._read(number)
        except UserError:
            raise
        except _DAMAGED as error:
            raise UserError(
                f"{self.directory / f'episode-{number}'}, from which the chief resumes, cannot be read here "
                f"({type(error).__name__}): --run_dir must be on storage that all workers share."
            ) from error

    def _read(self, number):
        path = self.directory / f"episode-{number}"
        try:
            self._checkpoint.read(str(path)).expect_partial().assert_existing_objects_matched()
        except (AssertionError, ValueError) as error:
            if isinstance(error, ValueError) and "incompatible tensor" not in str(error):
                raise
            raise UserError(
                f"{path} belongs to another model than its run's flags describe now: read it with the version "
                "of ml_lstm that wrote it, or train again in another --run_dir."
            ) from error
