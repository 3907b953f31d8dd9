"""How long examples are tried, and what no example may do: take long, or take memory."""

import datetime
import faulthandler
import gc
import itertools
import random
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from ml_lstm.serving.server import memory

# Of the server that is sent examples.
from tests.serving.conftest import channel, exported, method, server, start_server  # noqa: F401

_SECONDS = 60
_ROUNDS = 4
_EXAMPLES_A_ROUND = 40
_EXAMPLE_SECONDS = 30  # on a machine that is busy with eight times as much
_HANGS_AFTER = datetime.timedelta(minutes=15)
_MOST_MEGABYTES = 700
_MOST_KEPT_MEGABYTES = 600  # in the pool of TensorFlow's that oneDNN brings: 490 after pictures of the most pixels

# See Linux's proc_pid_clear_refs(5).
_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def pytest_collection_modifyitems(items):
    """Those that try examples share the time evenly."""
    trying = [item for item in items if "try_examples" in item.fixturenames]
    for item in trying:
        item.user_properties.append(("share", 1 / len(trying)))


@pytest.fixture
def try_examples(request, capsys):
    """Maps a strategy and a check to a failure of the check's with the smallest example that does.

    By default the same examples each time, at most so many; with `--fuzz_seconds` others each time.
    """

    def run(strategy, check):
        asked = request.config.getoption("--fuzz_seconds")
        seconds = (asked or _SECONDS) * dict(request.node.user_properties)["share"]
        first = random.randrange(2**32) if asked else 0

        check_once, check_kept = _bounded(check)
        started, tried = time.monotonic(), 0

        def one(example):
            nonlocal tried
            tried += 1
            check_once(example)

        every = settings(
            max_examples=_EXAMPLES_A_ROUND,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        for number in itertools.count(first) if asked else range(_ROUNDS):
            faulthandler.dump_traceback_later(_HANGS_AFTER.total_seconds(), exit=True, file=sys.__stderr__)
            try:
                seed(number)(every(given(strategy)(one)))()
            finally:
                faulthandler.cancel_dump_traceback_later()
            if time.monotonic() - started > seconds:
                break
        check_kept()
        if asked:
            with capsys.disabled():
                print(f"\n{request.node.name}: {tried} examples, seeds from {first} to {number}")

    return run


def _bounded(check):
    """Lets no example take long or take memory, and all of them keep none."""
    first = None

    def checked(example):
        nonlocal first
        _forget_peak()
        before, started = _megabytes("VmRSS"), time.monotonic()
        check(example)
        seconds, took = time.monotonic() - started, _megabytes("VmHWM") - before
        if first is None:  # it has things loaded
            first = _megabytes("VmRSS")
            return
        assert seconds < _EXAMPLE_SECONDS, f"took {seconds:.0f} s"
        assert took < _MOST_MEGABYTES, f"took {took} MB"

    def check_kept():
        gc.collect()
        memory.trim()
        kept = _megabytes("VmRSS") - first
        assert kept < _MOST_KEPT_MEGABYTES, f"all examples together kept {kept} MB"

    return checked, check_kept


def _forget_peak():
    """Has `VmHWM` begin anew."""
    if _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text("5")


def _megabytes(name):
    """Of this process, as Linux counts them; elsewhere none, as nothing there forgets a peak."""
    if not _CLEAR_REFS.exists():
        return 0
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) // 1024
