"""A run directory: the flags it is bound to, and where its checkpoints and evaluations are."""

import json
from pathlib import Path
from typing import Any

from ml_lstm.command_line.records import write_json
from ml_lstm.errors import UserError
from ml_lstm.runs.checkpoints import CheckpointStore

# What runs did that are older than these flags.
_NEWER_FLAGS = {"mixed_precision": False, "recompute_inner_steps": False}

# What decides how a run is computed, not what it comes to: it may go on with other values.
_CHANGEABLE = {"recompute_inner_steps"}


class _Flags(dict):
    """Flags read from a run, which may be older than a flag."""

    def __or__(self, other):
        return _Flags(super().__or__(other))

    def __missing__(self, name):
        raise UserError(f"The run has no flag --{name}: it was made by another version of ml_lstm; train it again.")


class RunDirectory:
    """`flags.json`, `backup/` (to resume from), `checkpoints/` (best weights), events, `evaluate-*.json`.

    Args:
        path: the directory.
    """

    def __init__(self, path: str):
        self.path = Path(path)
        self._flags_path = self.path / "flags.json"

    def exists(self, flags: dict[str, Any]) -> bool:
        """Whether the run is there already, to be continued with these flags.

        Args:
            flags: what decides the weights, by name.

        Raises:
            UserError: if it belongs to another configuration, or the directory holds something else.
        """
        if not self._flags_path.exists():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise UserError(f"{self.path} is in use and is no run (no flags.json): give another --run_dir.")
            return False
        bound = self.flags()
        differing = [
            f"--{name} was {bound.get(name)!r}, is {flags.get(name)!r}"
            for name in sorted((bound.keys() | flags.keys()) - _CHANGEABLE)
            if bound.get(name) != flags.get(name)
        ]
        if differing:
            raise UserError(
                f"{self.path} belongs to another configuration ({'; '.join(differing)}): "
                "give those flags, or another --run_dir."
            )
        return True

    def create(self, flags: dict[str, Any], images: dict[str, Any], classes: str) -> None:
        """Binds a new directory to `flags`, to the `images` that `build_method` needs, and to its classes.

        Args:
            flags: what decides the weights, by name.
            images: see `images`.
            classes: `FewShotData.class_digest` of its data.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self._flags_path, {"flags": flags, "images": images, "classes": classes})

    def require_classes(self, classes: str) -> None:
        """Refuses data that would be split otherwise than those of the run: it may have trained on the test's classes.

        Args:
            classes: `FewShotData.class_digest` of data that the run's own flags describe.

        Raises:
            UserError: if they are others. An older run does not know its own.
        """
        known = self._read()["classes"]
        if known not in (None, classes):
            raise UserError(
                f"The classes of the data are not those that {self.path} was begun with, so they are split otherwise: "
                "restore the data, or start a new run (evaluate --dataset=NAME tests on other data)."
            )

    def flags(self) -> dict[str, Any]:
        """The flags of the run.

        Raises:
            UserError: if the directory is no run.
        """
        return self._read()["flags"]

    def images(self) -> dict[str, Any]:
        """`image_shape`, `image_mean`, `image_std` and `train_classes` of the run's meta-training images.

        An older run has no `train_classes`.

        Raises:
            UserError: if the directory is no run.
        """
        return self._read()["images"]

    def evaluations(self) -> list[dict[str, Any]]:
        """What `evaluate` wrote here: accuracy, interval and setting of each evaluation."""
        names = ("accuracy", "confidence_interval_95", "episodes", "dataset", "split", "n_way", "k_shot", "n_query")
        results = [json.loads(path.read_text()) for path in sorted(self.path.glob("evaluate-*.json"))]
        return [{name: result[name] for name in names} for result in results]

    def _read(self):
        try:
            contents = json.loads(self._flags_path.read_text())
            return {
                "flags": _Flags(_NEWER_FLAGS | contents["flags"]),
                "images": dict(contents["images"]),
                "classes": contents.get("classes"),
            }
        except FileNotFoundError:
            raise UserError(f"{self.path} is no run directory (no flags.json): check --run_dir.") from None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self._flags_path} is damaged: restore it, or start a new run.") from None

    def backup(self, **objects) -> CheckpointStore:
        """The checkpoints that training goes on from."""
        return CheckpointStore(self.path / "backup", **objects)

    def best(self, **objects) -> CheckpointStore:
        """The checkpoints with the best meta-validation accuracy so far."""
        return CheckpointStore(self.path / "checkpoints", **objects)
