"""Drives the commands as a user does: processes of their own, a terminal where it matters, real signals."""

import fcntl
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.kills.commands import own_lines
from benchmarks.kills.saved import Saved
from tests import forks

_REPOSITORY = Path(__file__).parents[2]

# What makes a method small, where that is more than a few filters.
_SMALL = {
    "meta_lstm": ("--filters=4", "--hidden_units=2", "--inner_steps=1"),
    "fine_tuning": ("--filters=4", "--inner_steps=1"),
    "pixel_nearest_neighbour": (),
}


class Finished(NamedTuple):
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def own_lines(self) -> list[str]:
        """Lines on stderr without TensorFlow's greeting."""
        return own_lines(self.stderr)

    def refusal(self, status: int = 1) -> str:
        """The one line on stderr of a command that failed as it should."""
        assert self.status == status, self
        assert len(self.own_lines) == 1, self.stderr
        assert re.match(r"ml_lstm\.\w+: ", self.own_lines[0]), self.stderr
        return self.own_lines[0]


class Commands:
    """Starts commands; those in the background run two at a time.

    Attributes:
        interval: episodes between the validations of `train`, 30 meta-steps.
        episodes: of `train` unless told otherwise, three intervals.
    """

    interval = 60
    episodes = 180

    def __init__(self, pool: ThreadPoolExecutor):
        self.background = pool.submit

    def start(
        self, command: str, *flags: str, path: Path = _REPOSITORY, variables: Mapping[str, str] = {}, **popen
    ) -> subprocess.Popen | forks.Fork:
        """Starts `python -m ml_lstm.<command>`; what is in `path` comes before installed packages."""
        if path == _REPOSITORY and not variables and popen.keys() <= {"stdout", "stderr"}:
            return forks.start(f"ml_lstm.{command}", *flags, **popen)
        environment = os.environ | {"PYTHONPATH": str(path)} | variables
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        arguments = [sys.executable, "-m", f"ml_lstm.{command}", *flags]
        return subprocess.Popen(arguments, env=environment, **streams | popen)

    def run(self, command: str, *flags: str, **popen) -> Finished:
        """Runs a command to its end."""
        process = self.start(command, *flags, **popen)
        try:
            out, err = process.communicate(timeout=3600)  # a busy machine is no failure
        finally:
            process.kill()
        return Finished(process.returncode, out.decode(), err.decode())

    def train_flags(self, run: Path, *more: str) -> list[str]:
        """A run of seconds, on glyphs, by `--method` among `more` or the LSTM meta-learner."""
        chosen = [flag.partition("=")[2] for flag in more if flag.startswith("--method=")]
        method = chosen[-1] if chosen else "meta_lstm"
        trained = ("--meta_batch_size=2", "--learning_rate=0.01", f"--validation_interval={self.interval}")
        trained += (f"--episodes={self.episodes}",)
        return [
            *("--dataset=glyphs", "--image_size=16", "--n_query=2", "--validation_episodes=4"),
            *_SMALL.get(method, ("--filters=4",)),
            *(() if method == "pixel_nearest_neighbour" else trained),
            *(f"--run_dir={run}", *more),
        ]

    def train(self, run: Path, *more: str, **popen) -> Finished:
        """Trains, or goes on."""
        return self.run("train", *self.train_flags(run, *more), **popen)

    def train_until_killed(self, run: Path, saved: int, delay: float, *more: str, **popen) -> None:
        """Trains until `delay` seconds after the checkpoint `saved` is there, then kills the process."""
        process = self.start("train", *self.train_flags(run, *more), **popen)
        index = run / "backup" / f"episode-{saved}.index"
        try:
            while not index.exists():
                assert process.poll() is None, process.communicate()
                time.sleep(0.002)
            time.sleep(delay)
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL

    def train_until_signal(self, run: Path, number: int, *more: str, **popen) -> Finished:
        """Trains in a terminal and sends a signal as soon as the bar shows the first steps of a whole epoch."""
        master, terminal = pty.openpty()
        process = self.start("train", *self.train_flags(run, *more), stdout=terminal, **popen)
        os.close(terminal)
        shown, sent = b"", False
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # how a terminal says that nobody writes to it any more
                break
            shown += part
            if not sent and re.search(rb"\D[1-9]\d?/%d\D" % (self.interval // 2), shown):
                process.send_signal(number)
                sent = True
        os.close(master)
        _, err = process.communicate()
        return Finished(process.returncode, shown.decode(), err.decode())

    def train_until_terminal_closes(self, run: Path) -> Finished:
        """Trains in a terminal of its own, which is closed as soon as the bar shows the first steps of an epoch."""
        master, terminal = pty.openpty()

        def own_terminal():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that `nohup` started have it ignored
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

        own = {"start_new_session": True, "preexec_fn": own_terminal}
        process = self.start("train", *self.train_flags(run), stdout=terminal, **own)
        os.close(terminal)
        shown = b""
        while not re.search(rb"\D[1-9]\d?/%d\D" % (self.interval // 2), shown):
            shown += os.read(master, 65536)
        os.close(master)
        _, err = process.communicate()
        return Finished(process.returncode, shown.decode(), err.decode())


def _tree(path: Path) -> dict[str, bytes | None]:
    """Every file below `path` with its contents, and every directory."""
    return {str(entry.relative_to(path)): entry.read_bytes() if entry.is_file() else None for entry in path.rglob("*")}


@pytest.fixture(scope="session")
def commands():
    with ThreadPoolExecutor(2) as pool:
        yield Commands(pool)


@pytest.fixture(scope="session")
def training(commands, tmp_path_factory) -> Future:
    """An undisturbed run of `commands.episodes` episodes: `(its directory, how it ended)`, under way."""
    run = tmp_path_factory.mktemp("trained") / "run"
    return commands.background(lambda: (run, commands.train(run)))


@pytest.fixture(scope="session")
def trained(training) -> Path:
    """The directory of the undisturbed run; tests change copies only."""
    run, finished = training.result()
    assert finished.status == 0, finished.stderr
    return run


@pytest.fixture
def trained_copy(trained, tmp_path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="session")
def saved():
    """`saved(run)`: what the newest backup of a run holds."""
    return Saved.of


@pytest.fixture(scope="session")
def finished():
    """`finished(status, stdout, stderr)`: how a command ended."""
    return Finished


@pytest.fixture(scope="session")
def tree():
    """`tree(path)`: everything below a path, to be compared before and after."""
    return _tree
