"""A run directory: the options it is bound to, and the method and the checkpoints that they describe."""

import functools
import json
import math
import os
from pathlib import Path
from typing import Any

import keras

from ml_lstm.command_line.records import write_json
from ml_lstm.episode import Problem
from ml_lstm.errors import UserError, sentence_of
from ml_lstm.learners import frozen_weights
from ml_lstm.methods import FewShotClassifier
from ml_lstm.paths import for_tensorflow
from ml_lstm.runs import evaluations, settings
from ml_lstm.runs.checkpoints import CheckpointStore
from ml_lstm.runs.lock import TrainingLock
from ml_lstm.training import Progress

_LOCK = "train.lock"
_NETWORK = "learner.keras"
_LARGEST_SIDE = 2**14  # pixels


class RunDirectory:
    """Reads and writes `flags.json`, `backup/` (to resume from), `checkpoints/` (best weights), `evaluate-*.json`.

    If the learner comes from a file or a download, `learner.keras` holds the network at the start of training, so that
    the run no longer needs the file or the download; for frozen weights it is the only copy.

    Args:
        path: the directory.
    """

    def __init__(self, path: str):
        self.path = for_tensorflow(path)
        self._flags_path = self.path / "flags.json"

    def exists(self, bound: settings.Values) -> bool:
        """Whether the run exists already and can continue with these options.

        Args:
            bound: the options that determine the weights, see `settings.bound`.

        Raises:
            UserError: if it belongs to another configuration, or the directory holds something else.
        """
        if not self._flags_path.exists():
            if self.path.exists() and (not self.path.is_dir() or any(map(self._is_foreign, self.path.iterdir()))):
                raise UserError(f"{self.path} is in use and is not a run (no flags.json): give another --run_dir.")
            return False
        mine = self.bound()
        differing = [
            f"--{name} was {mine.get(name)!r}, is {bound.get(name)!r}"
            for name in sorted(mine.keys() | bound.keys())
            if mine.get(name) != bound.get(name)
        ]
        if differing:
            raise UserError(
                f"{self.path} belongs to another configuration ({'; '.join(differing)}): "
                "give those flags, or another --run_dir."
            )
        return True

    def _is_foreign(self, path):
        """Whether a file belongs to something other than a run that was killed before it had its flags."""
        begun = path.name in (_LOCK, _NETWORK, f".{_NETWORK}")
        return not begun and not path.name.startswith(f".{self._flags_path.name}.")

    def lock(self) -> TrainingLock:
        """Keeps other processes from training here until this process ends or releases the lock.

        Raises:
            UserError: if another process trains here.
        """
        return TrainingLock(self.path / _LOCK)

    def create(
        self, bound: settings.Values, problem: Problem, classes: str, network: keras.Model | None = None
    ) -> None:
        """Binds a new directory to options and to its data.

        Args:
            bound: the options that determine the weights, see `settings.bound`.
            problem: of its data.
            classes: `FewShotData.class_digest` of its data.
            network: the untrained network to store; see `settings.keeps_network`.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if network:
            unfinished = self.path / f".{_NETWORK}"
            network.save(unfinished)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(unfinished, self.path / _NETWORK)
        images = {name: value for name, value in problem._asdict().items() if name != "n_way"}
        write_json(self._flags_path, {"flags": bound, "images": images, "classes": classes})

    def require_classes(self, classes: str) -> None:
        """Checks that data are split like those of the run, which may otherwise have trained on the test's classes.

        Args:
            classes: `FewShotData.class_digest` of data that the run's own options describe.

        Raises:
            UserError: if the classes differ. An older run has no digest and passes.
        """
        known = self._read()["classes"]
        if known not in (None, classes):
            raise UserError(
                f"The classes of the data are not those that {self.path} was started with, so the split differs: "
                "restore the data, or start a new run (evaluate --dataset=NAME tests on other data)."
            )

    def values(self, **others: Any) -> settings.Values:
        """The choices and options that apply to the run.

        An option missing in an older run has its default, which is the behaviour from before the option existed.
        Options that this version does not know are printed once.

        Args:
            **others: replace the run's own values.

        Raises:
            UserError: if the directory is not a run, or a run of a version with other choices.
        """
        recorded = self._recorded | others
        try:
            return settings.complete(recorded)
        except ValueError as error:
            raise UserError(
                f"{self.path} was made by another version of ml_lstm ({error}): use that one, or train again in "
                "another --run_dir."
            ) from error

    @functools.cached_property
    def _recorded(self):
        recorded = self._read()["flags"]
        unknown = settings.unknown(recorded)
        if unknown:
            print(f"{self.path} has options that this version does not know and ignores: {', '.join(unknown)}.")
        return recorded

    def bound(self) -> settings.Values:
        """The options that the run is bound to, as in JSON.

        Raises:
            UserError: like `values`.
        """
        return settings.bound(self.values())

    def problem(self) -> Problem:
        """What the run's method knows of its data.

        Raises:
            UserError: like `values`.
        """
        values, images = self.values(), self._read()["images"]
        unknown = sorted(images.keys() - {*Problem._fields})
        if unknown:
            raise UserError(
                f"{self.path} was made by another version of ml_lstm (its images have {', '.join(unknown)}): use that "
                "one, or train again in another --run_dir."
            )
        n_way = max(values["n_way"], values["train_n_way"])
        try:
            return _checked(Problem(**images | {"n_way": n_way, "image_shape": tuple(images["image_shape"])}))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise self._damaged() from None

    def copy_flags(self, directory: Path) -> None:
        """Writes `flags.json` into another directory, with the options that the run is bound to."""
        write_json(directory / self._flags_path.name, self._read())

    def network(self) -> keras.Model | None:
        """The untrained network that the run stores; None if it stores none, as its options can create it again.

        Raises:
            UserError: if it cannot be read, and like `values`.
        """
        if not settings.keeps_network(self.values()):
            return None
        try:
            return keras.saving.load_model(self.path / _NETWORK, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises many kinds of errors for a damaged file
            raise UserError(
                f"{self.path / _NETWORK}, the network that the run started with, cannot be read "
                f"({sentence_of(error)}): restore it, or start a new run."
            ) from error

    def evaluations(self) -> list[dict[str, Any]]:
        """The results that `evaluate` wrote here: accuracy, interval and setting of each, see `evaluations.read`.

        Raises:
            UserError: if one is damaged.
        """
        return evaluations.read(self.path)

    def add_evaluation(self, record: dict[str, Any]) -> Path:
        """Writes a result, see `evaluations.write`."""
        return evaluations.write(self.path, record)

    def _read(self):
        try:
            contents = json.loads(self._flags_path.read_text(encoding="utf-8"))
            return {
                "flags": dict(contents["flags"]),
                "images": dict(contents["images"]),
                "classes": contents.get("classes"),
            }
        except FileNotFoundError:
            raise UserError(
                f"{self.path} is not a run directory (no flags.json): give one that train created."
            ) from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._damaged() from None

    def _damaged(self):
        return UserError(f"{self._flags_path} is damaged: restore it, or start a new run.")

    def backup(self, **objects) -> CheckpointStore:
        """The checkpoints that training resumes from."""
        return self._store("backup", objects)

    def has_backup(self) -> bool:
        """Whether there is a checkpoint that training resumes from."""
        return bool(CheckpointStore(self.path / "backup").numbers())

    def best(self, **objects) -> CheckpointStore:
        """The checkpoints with the best meta-validation accuracy so far."""
        return self._store("checkpoints", objects)

    def _store(self, name, objects):
        kept = frozen_weights(objects["model"].learner) if (self.path / _NETWORK).exists() else ()
        return CheckpointStore(self.path / name, left_out=kept, **objects)


def _checked(problem):
    """Checks the values of a problem, and returns it.

    Raises:
        TypeError, ValueError, OverflowError: for values from a damaged file.
    """
    height, width, channels = problem.image_shape
    whole = [height, width, channels, *([] if problem.train_classes is None else [problem.train_classes])]
    if any(type(number) is not int or number < 1 for number in whole) or max(height, width) > _LARGEST_SIDE:
        raise ValueError
    for values, least in ((problem.image_mean, -math.inf), (problem.image_std, 0)):
        listed = values if isinstance(values, list) else [values] * channels
        if len(listed) != channels or any(type(value) not in (int, float) for value in listed):
            raise TypeError
        if not all(least < float(value) < math.inf for value in listed):
            raise ValueError
    return problem


def trained_method(run: RunDirectory, lean: bool = False) -> tuple[FewShotClassifier, int, Progress]:
    """The method with the best weights of a run, or with the newest ones (or their averages) before any validation.

    Args:
        run: trained.
        lean: whether to omit parts that only training needs, see `settings.build_lean_method`.

    Returns:
        `(method, episodes it was trained for, Progress at that time)`.

    Raises:
        UserError: if nothing was saved, or everything is damaged.
    """
    if lean:
        method = settings.build_lean_method(run.values(), run.problem())
    else:
        method = settings.build_method(run.values(), run.problem(), run.network())
    progress = Progress()
    objects = {"model": method, "progress": progress}
    episodes = run.best(**objects).restore_newest()
    if episodes is None:
        averages = settings.make_averages(method, run.values())
        episodes = run.backup(**objects, **({"averages": averages.state} if averages else {})).restore_newest()
        if averages:
            averages.lend()
    if episodes is not None:
        return method, episodes, progress
    raise UserError(f"{run.path} has no checkpoint yet: train it first.")
