"""Tests of commands in forks: they end, speak and die as processes of their own do."""

import functools
import os
import signal
import subprocess
import time

import pytest

from tests import forks

PROGRAM = """
import os, signal, sys, time
print(__name__, sys.argv[1:], os.getcwd(), os.environ.get("SAID"), "tensorflow" in sys.modules, flush=True)
print("wrong", file=sys.stderr)
match sys.argv[1:]:
    case ["sleep"]:
        time.sleep(600)
    case ["hang up"]:
        print(signal.getsignal(signal.SIGHUP) == signal.SIG_DFL)
    case ["raise"]:
        raise ValueError("a fault")
    case [number]:
        sys.exit(int(number))
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.parametrize("status", [0, 3])
def test_it_ends_and_speaks_as_a_process_does(status, here, monkeypatch):
    monkeypatch.setenv("SAID", "now")
    ended = forks.run("program", str(status), cwd=here)
    assert (ended.returncode, ended.stderr) == (status, "wrong\n")
    assert ended.stdout == f"__main__ ['{status}'] {here} now True\n"


def test_a_fault_is_a_traceback_and_status_1(here):
    ended = forks.run("program", "raise", cwd=here)
    assert ended.returncode == 1
    assert ended.stderr.endswith("ValueError: a fault\n")


def test_it_obeys_hanging_up(here):
    assert forks.run("program", "hang up", cwd=here).stdout.endswith("True\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it(number, here):
    fork = forks.start("program", "sleep", cwd=here)
    assert fork.stdout.readline().startswith(b"__main__")
    assert fork.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(timeout=0.01)
    fork.send_signal(number)
    assert fork.wait(timeout=600) == -number
    fork.send_signal(number)  # to none


def test_what_takes_too_long_is_killed(here):
    fork = forks.start("program", "sleep", cwd=here)
    with pytest.raises(subprocess.TimeoutExpired):
        fork.communicate(timeout=0.01)
    assert fork.wait(timeout=600) == -signal.SIGKILL


def test_it_writes_to_a_descriptor(here):
    with open(here / "said", "wb") as file:
        forks.start("program", "0", cwd=here, stdout=file.fileno()).communicate()
    assert (here / "said").read_text().startswith("__main__")


def test_many_at_once_have_their_own(here):
    started = [forks.start("program", str(number), cwd=here) for number in range(8)]
    ends = [(fork.communicate()[0].split(b"'")[1], fork.returncode) for fork in started]
    assert ends == [(str(number).encode(), number) for number in range(8)]


def test_a_package_can_be_absent(here):
    (here / "imports.py").write_text("import json, yaml")
    ended = forks.run("imports", cwd=here, absent=["yaml"])
    assert ended.returncode == 1
    assert "ModuleNotFoundError" in ended.stderr and "yaml" in ended.stderr
    assert forks.run("imports", cwd=here).returncode == 0


def test_a_package_that_cannot_be_imported_is_told(here, monkeypatch):
    (here / "ml_lstm.py").write_text("raise ImportError('half installed')")
    monkeypatch.setattr(forks, "_ROOT", here)
    monkeypatch.setattr(forks, "_process", functools.cache(forks._process.__wrapped__))
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"(?s)has ended:.*half installed"):
            forks.run("program", "0", cwd=here)


def test_no_process_is_left(here):
    fork = forks.start("program", "0", cwd=here)
    fork.communicate()
    for _ in range(600):  # the process between ends a little later
        if not os.path.exists(f"/proc/{fork.pid}"):
            break
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{fork.pid}")
