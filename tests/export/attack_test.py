"""The server answers hostile requests and others beside them, and the page tells what a run of them came to."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_lstm import learners, methods, serving
from ml_lstm.episode import Problem

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MOST_KEPT = 200  # MB: the process that reads JSON has 60, and heaps have holes; without `take_from_system` 440


@pytest.fixture(scope="module")
def attack():
    sys.path.insert(0, str(ROOT / "export"))
    try:
        spec = importlib.util.spec_from_file_location("attack", ROOT / "export" / "attack.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "export"))
    return module


def test_the_page_is_that_of_the_result(attack):
    result = json.loads((DOCS / "results" / "attack.json").read_text())
    assert attack.page(result) == (DOCS / "attack.md").read_text()


def test_the_measured_server_kept_its_promises():
    result = json.loads((DOCS / "results" / "attack.json").read_text())
    assert len(result["requests"]) >= 150
    assert result["slowest_seconds"] < 60  # the deadline of a request, by default
    assert result["neighbour_p99_beside"] < 2 * result["neighbour_p99_alone"]
    assert result["resident_mb_after"] < result["resident_mb_before"] + MOST_KEPT


@pytest.mark.slow
def test_every_hostile_request_is_answered_in_time_and_the_server_lives_on(tmp_path):
    learner = learners.embedding(learners.conv4((16, 16, 3), 5, filters=2))
    method = methods.PrototypicalNetworks(learner, Problem((16, 16, 3), 5))
    card = json.dumps({"image_shape": [16, 16, 3]})
    version = serving.export_version(method, (16, 16, 3), str(tmp_path / "m"), card)
    result = tmp_path / "attack.json"
    program = [sys.executable, ROOT / "export" / "attack.py", f"--model_base_path={version.parent}", f"--json={result}"]
    done = subprocess.run(
        [*program, f"--out={tmp_path / 'attack.md'}"], capture_output=True, text=True, env=os.environ, timeout=900
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    assert len(found["requests"]) >= 150
    assert found["slowest_seconds"] < 90
    assert found["resident_mb_after"] < found["resident_mb_before"] + MOST_KEPT
    assert (tmp_path / "attack.md").read_text().count("\n| ") > 150
