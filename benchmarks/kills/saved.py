"""The files of a run, compared except for the time that things took."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# Tags of TensorBoard that hold a time or a speed.
_TIMED = ("epoch_episodes_per_second", "_hparams_/")


class Saved(NamedTuple):
    """The contents of a run's newest checkpoint, except for the time taken."""

    number: int
    variables: dict[str, bytes]
    validations: list
    train_classes: list

    @classmethod
    def of(cls, run: Path, store: str = "backup") -> "Saved":
        """Reads the checkpoint with the largest episode number."""
        number = max(int(path.stem.split("-")[1]) for path in (run / store).glob("episode-*.index"))
        reader = tf.train.load_checkpoint(str(run / store / f"episode-{number}"))
        names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
        progress = json.loads(reader.get_tensor("progress/.ATTRIBUTES/py_state"))
        variables = {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}
        return cls(number, variables, progress["validations"], progress["train_classes"])


def events(run: Path) -> dict[tuple[str, str, int], set[bytes]]:
    """What TensorBoard reads of a run: all values of `(part, tag, step)`; several if one was written more than
    once."""
    found = {}
    for part in filter(lambda part: (run / part).is_dir(), ("train", "validation", "train_classes", "episodes")):
        accumulator = EventAccumulator(str(run / part), size_guidance={"tensors": 0}, purge_orphaned_data=False)
        for tag in accumulator.Reload().Tags()["tensors"]:
            for event in accumulator.Tensors(tag) if not tag.startswith(_TIMED) else ():
                contents = event.tensor_proto.SerializeToString(deterministic=True)
                found.setdefault((part, tag, event.step), set()).add(contents)
    return found


def differences(run: Path, reference: Path) -> dict[str, list[str]]:
    """How a run differs from another; only elapsed time is not compared.

    Returns:
        Lists, empty if the runs agree, for `backup` and `checkpoints`, bit for bit, and for `events`.
    """
    found = {}
    for store in ("backup", "checkpoints"):
        mine, theirs = Saved.of(run, store), Saved.of(reference, store)
        names = mine.variables.keys() | theirs.variables.keys()
        differing = [name for name in sorted(names) if mine.variables.get(name) != theirs.variables.get(name)]
        differing += ["episodes"] * (mine.number != theirs.number)
        differing += ["train_classes"] * (mine.train_classes != theirs.train_classes)
        found[store] = differing + ["validations"] * (mine.validations != theirs.validations)
    mine, theirs = events(run), events(reference)
    keys = sorted(mine.keys() | theirs.keys())
    found["events"] = [f"{key} of {part} at {step}" for part, key, step in keys
                       if mine.get((part, key, step)) != theirs.get((part, key, step))]  # fmt: skip
    return found


def damage(run: Path) -> list[str]:
    """The parts of a run that exist and cannot be read: its options, or checkpoints that have an index."""
    problems = []
    flags = run / "flags.json"
    try:
        if flags.exists():
            json.loads(flags.read_text())
    except ValueError as error:
        problems.append(f"{flags.name}: {error}")
    for index in sorted(run.glob("*/episode-*.index")):
        try:
            reader = tf.train.load_checkpoint(str(index.with_suffix("")))
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)  # each has a checksum
        except (tf.errors.OpError, ValueError, IndexError) as error:
            problems.append(f"{index.relative_to(run)}: {type(error).__name__}")
    return problems


def tree(path: Path) -> dict[str, str]:
    """A digest of every file below a path."""
    files = (entry for entry in sorted(path.rglob("*")) if entry.is_file())
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
