"""Replaced base learners: what is trained and tested, and where numbers go."""

import pytest

from studies import fixed_learner
from studies.harness import SCALES, carry_out

LINES = {"target": None, "small": 32, "big": 128}


def measured(trials, line):
    """A result that tells which it is of: trials in millions, and 0.1 for each line."""
    value = trials / 1e6 + list(LINES).index(line) / 10
    replaced = {} if LINES[line] is None else {"new_base_filters": LINES[line]}
    return {"accuracy": value, "confidence_interval_95": 0.01, "flags": {"base_filters": 16}} | replaced


@pytest.fixture
def results():
    return {
        training.name: {each.name: measured(training.episodes, each.name) for each in training.measurements}
        for training in fixed_learner.trainings("hours")[::-1]
    }


@pytest.mark.parametrize("scale", SCALES)
def test_runs_differ_in_their_length_alone_and_the_base_learner_is_replaced_in_two_tests_of_three(scale):
    runs = fixed_learner.trainings(scale)
    assert len({training.flags for training in runs}) == 1
    assert "--base_learner=convolutions" in runs[0].flags
    assert len({training.episodes for training in runs}) == len(runs)
    for training in runs:
        replaced = [any("--new_base_filters=" in flag for flag in each.flags) for each in training.measurements]
        assert replaced == [False, True, True]


def test_a_number_stands_under_its_trials_and_beside_its_base_learner(results):
    head, *rows = fixed_learner.table(results)
    assert head[2:] == ["400 trials", "1600 trials", "4800 trials"]
    assert [row[1] for row in rows] == ["16", "32", "128"]
    assert rows[0][2:] == ["0.04 ± 1.00", "0.16 ± 1.00", "0.48 ± 1.00"]
    assert rows[2][3] == "20.16 ± 1.00"


def test_a_line_is_drawn_for_each_base_learner(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    fixed_learner.draw(results, axes)
    lines = {bars.get_label(): list(bars.lines[0].get_ydata()) for bars in axes.containers}
    pyplot.close(figure)
    assert lines["small, random and fixed, 32 filters"] == pytest.approx([10.04, 10.16, 10.48])
    assert len(lines) == 3


@pytest.mark.nightly
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(fixed_learner.STUDY, tmp_path, "small")
    assert [row[1] for row in rows[1:]] == ["4", "4", "8"]
    assert {path.suffix for path in tmp_path.glob("fixed_learner.*")} == {".json", ".md", ".png"}
