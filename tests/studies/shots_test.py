"""Shots: what is compared, and where its numbers go."""

import pytest

from studies import shots
from studies.harness import SCALES, carry_out


@pytest.fixture
def results():
    """Accuracies that tell which they are of: 0.<number of method><shots or steps>."""
    return {
        training.name: {
            each.name: {
                "accuracy": place / 10 + int(each.name.partition("_")[0]) / 1000,
                "confidence_interval_95": 0.01,
            }
            for each in training.measurements
        }
        for place, training in enumerate(shots.trainings("hours"))
    }


@pytest.mark.parametrize("scale", SCALES)
def test_all_are_trained_on_the_same_problems_and_each_family_is_there(scale):
    runs = shots.trainings(scale)
    assert {"--n_way=5", "--train_n_way=5", "--k_shot=5"} <= set.intersection(*(set(run.flags) for run in runs))
    families = {shots._FAMILIES[run.name] for run in runs}
    assert families == ({"optimization", "metric"} if scale == "small" else {"optimization", "metric", "model"})


def test_steps_are_measured_where_there_are_some():
    measured = {run.name: {each.name for each in run.measurements} for run in shots.trainings("hours")}
    with_steps = {name for name, of in measured.items() if "10_steps" in of}
    assert with_steps == {"meta_lstm", "maml", "reptile"}
    assert all("20_shots" in of for of in measured.values())


def test_a_number_stands_under_its_shots_or_steps_and_beside_its_method(results):
    head, *rows = shots.table(results)
    assert head[2:] == [f"{number} {what}" for what in ("shots", "steps") for number in (1, 2, 5, 10, 20)]
    assert rows[1][:3] == ["maml", "optimization", "10.10 ± 1.00"] and rows[1][-1] == "12.00 ± 1.00"
    assert rows[3][:2] == ["prototypical", "metric"] and rows[3][-5:] == ["-"] * 5


def test_shots_have_a_line_a_method_and_steps_one_where_there_are_some(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots(*shots.STUDY.panels, squeeze=False)
    shots.draw(results, axes)
    lines = [
        {line.get_label(): list(line.get_ydata()) for line in panel.lines if len(line.get_ydata()) > 2}
        for panel in axes[0]
    ]
    pyplot.close(figure)
    assert len(lines[0]) == 8 and set(lines[1]) == {"meta_lstm", "maml", "reptile"}
    assert lines[0]["relation"] == pytest.approx([50.1, 50.2, 50.5, 51, 52])


@pytest.mark.nightly
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(shots.STUDY, tmp_path, "small")
    assert rows[0] == ["method", "family", "1 shots", "5 shots", "8 steps"]
    assert (rows[1][-1] == "-", rows[2][-1] == "-") == (False, True)
