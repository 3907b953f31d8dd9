"""The options in docs/results/ are those that were in force."""

import json
from pathlib import Path

import pytest

from ml_lstm.runs import settings

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def recorded():
    for path in sorted(RESULTS.glob("*.json")):
        flags = json.loads(path.read_text()).get("flags")
        if isinstance(flags, dict) and "method" in flags:
            yield pytest.param(flags, id=path.stem)


def test_there_are_results():
    assert len(list(recorded())) >= 30


@pytest.mark.parametrize("flags", list(recorded()))
def test_what_is_recorded_of_a_run_was_in_force(flags):
    values = settings.complete(flags)
    in_force = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    assert flags == {name: in_force.get(name, "concerns nothing that was chosen") for name in flags}
