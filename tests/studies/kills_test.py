"""A study that was killed goes on, to the results of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_THE_DAY = {"evaluate_seconds", "train_seconds"}


def started(out):
    command = [sys.executable, "-m", "tests.studies.tiny", f"--out={out}"]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, text=True)


def results(out):
    record = json.loads((out / "tiny.json").read_text())
    for of_training in record["results"].values():
        for measured in of_training.values():
            for name in OF_THE_DAY:
                del measured[name]
    return record


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_study_comes_to_the_same_json_but_for_times(tmp_path, number):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = started(whole)
    assert "written to" in process.communicate()[0]
    process = started(killed)
    log = killed / "small" / "seed_1.log"
    while not log.exists() or "Episode 20 of 60" not in log.read_text():
        assert process.poll() is None, "it was done before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, number)
    assert "written to" not in process.communicate()[0]
    assert not (killed / "tiny.json").exists()
    process = started(killed)
    said = process.communicate()[0]
    assert [line for line in said.splitlines() if line.startswith("Training")] == ["Training 2 of 2, seed_1"]
    assert results(killed) == results(whole)
    assert (killed / "tiny.md").read_bytes() == (whole / "tiny.md").read_bytes()
