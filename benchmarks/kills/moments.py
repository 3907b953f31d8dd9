"""Random moments, each within a phase of a command, and the kill at one of them."""

import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.kills.commands import Finished, Running

_LOOK_SECONDS = 0.0005
_CLOCK_NS = 10_000_000  # the clock of file times may be this much coarser than that of programs

Sign = Callable[[Running], bool]
"""Returns whether a phase of a command has begun."""


class Moment(NamedTuple):
    """When to kill: how far into a phase, as a fraction of the phase's duration without a kill."""

    phase: str
    fraction: float


class Killed(NamedTuple):
    """A kill that happened.

    Attributes:
        phase: the command's phase according to its files; on a busy machine not always the moment's.
        seconds: since the start of the command.
        finished: how it ended.
    """

    phase: str
    seconds: float
    finished: Finished


def draw(phases: Sequence[str], count: int, generator: random.Random) -> list[Moment]:
    """`count` moments in random order, equally distributed over the phases."""
    moments = [Moment(phases[number % len(phases)], generator.random()) for number in range(count)]
    generator.shuffle(moments)
    return moments


def from_the_start(_: Running) -> bool:
    return True


def new_file(directory: Path, pattern: str) -> Sign:
    """A sign: whether a file matching the pattern was written since the command began."""

    def seen(running):
        for path in directory.glob(pattern):
            try:
                if path.stat().st_mtime_ns > running.started_ns - _CLOCK_NS:
                    return True
            except FileNotFoundError:  # removed meanwhile
                continue
        return False

    return seen


def reached(running: Running, sign: Sign) -> bool:
    """Waits for a phase; returns False if the command ends before it."""
    while not sign(running):
        if running.ended:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def durations(running: Running, phases: Mapping[str, Sign]) -> dict[str, float]:
    """Seconds of each phase of a command without a kill; the last phase lasts until its end.

    Raises:
        RuntimeError: if it ends before a phase has begun.
    """
    begun = []
    for name, sign in phases.items():
        if not reached(running, sign):
            raise RuntimeError(f"ended before {name}: {running.finish()}")
        begun.append(running.seconds)
    running.finish()
    ends = [*begun[1:], running.seconds]
    return {name: end - begin for name, begin, end in zip(phases, begun, ends, strict=True)}


def kill_at(running: Running, moment: Moment, phases: Mapping[str, Sign], seconds: float) -> Killed | None:
    """Kills a command at a moment.

    Args:
        running: the command, just started.
        moment: when.
        phases: of the command, in order.
        seconds: duration of the moment's phase.

    Returns:
        The kill, or None if the command had ended before it.
    """
    if reached(running, phases[moment.phase]):
        time.sleep(moment.fraction * seconds)
    after = running.seconds
    finished = running.kill()
    if finished.status != -signal.SIGKILL:
        return None
    return Killed([name for name, sign in phases.items() if sign(running)][-1], after, finished)
