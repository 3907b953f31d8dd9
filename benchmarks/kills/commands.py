"""Starts the commands of ml_lstm like a user, each in its own process, and keeps their output."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

_REPOSITORY = Path(__file__).parents[2]

# TensorFlow's own lines on stderr at its start.
_TENSORFLOW_LINE = re.compile(r"[IWE]0000 00:00:|WARNING: All log messages before|To enable the following|\t|\s*$")


def own_lines(stderr: str) -> list[str]:
    """Lines on stderr, without those of TensorFlow's start."""
    return [line for line in stderr.splitlines() if not _TENSORFLOW_LINE.match(line)]


class Finished(NamedTuple):
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def problems(self) -> list[str]:
        """Lines on stderr that report a problem: neither those of TensorFlow's start nor the notes of `adapt`."""
        return [line for line in own_lines(self.stderr) if not line.startswith("Note: ")]

    def failure(self) -> list[str]:
        """What is wrong with a command that should have succeeded with nothing on stderr; empty if nothing is."""
        lines = self.problems
        return [f"exit {self.status}: {' / '.join(lines[-3:])}"] if self.status or lines else []

    def refusal_without(self, words: str) -> list[str]:
        """What is wrong with a command that should have ended with exit 1 and one line containing `words`."""
        lines = self.problems
        if self.status == 1 and len(lines) == 1 and re.match(r"ml_lstm\.\w+: ", lines[0]) and words in lines[0]:
            return []
        return [f"exit {self.status}, {len(lines)} lines: {' / '.join(lines[-3:])}"]


class Running:
    """A running command: `python -m ml_lstm.<command>`.

    Args:
        command: its name.
        arguments: its flags.
        cache: directory of its cache.
        popen: further arguments of `subprocess.Popen`; output redirected by them is not kept.

    Attributes:
        process: of the operating system.
        started_ns: its start, by the clock of file times.
    """

    def __init__(self, command: str, arguments: Sequence[str], cache: Path, **popen: Any):
        environment = os.environ | {"PYTHONPATH": str(_REPOSITORY), "XDG_CACHE_HOME": str(cache)}
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.started_ns, self._clock = time.time_ns(), time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"ml_lstm.{command}", *arguments], env=environment, **streams | popen
        )
        self._said = {"stdout": bytearray(), "stderr": bytearray()}
        pipes = {name: getattr(self.process, name) for name in self._said}
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True) for name, pipe in pipes.items() if pipe
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name, pipe):
        while part := os.read(pipe.fileno(), 65536):
            self._said[name] += part

    @property
    def seconds(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._clock

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def stderr(self) -> str:
        """Its output on stderr so far."""
        return self._said["stderr"].decode()

    def finish(self, timeout: float = 1200) -> Finished:
        """Waits for its end; kills it if it takes longer than `timeout` seconds."""
        try:
            self.process.wait(timeout)
        finally:
            self.process.kill()
            status = self.process.wait()
        for reader in self._readers:
            reader.join()
        return Finished(status, *(said.decode() for said in self._said.values()))

    def kill(self) -> Finished:
        """Ends it by SIGKILL."""
        self.process.kill()
        return self.finish()


class Commands:
    """Starts commands that share a separate cache.

    Args:
        cache: directory of the cache.
    """

    def __init__(self, cache: Path):
        self._cache = cache

    def start(self, command: str, *arguments: str, **popen: Any) -> Running:
        return Running(command, arguments, self._cache, **popen)

    def run(self, command: str, *arguments: str, **popen: Any) -> Finished:
        """Runs a command to its end."""
        return self.start(command, *arguments, **popen).finish()
