"""Few classes: what is compared, and where its numbers go."""

import pytest

from studies import few_classes
from studies.harness import SCALES, carry_out

METHODS = ("meta_lstm_default", "meta_lstm_one_step", "prototypical")


def measured(name, split):
    """A result that tells which it is of: 0.<method><classes><split>."""
    method, _, classes = name.removesuffix("_classes").rpartition("_")
    value = METHODS.index(method) / 10 + int(classes) / 1000 + (split == "train") / 10000
    return {"accuracy": value, "confidence_interval_95": 0.01, "flags": {"max_train_classes": int(classes)}}


@pytest.fixture
def results():
    found = {
        training.name: {each.name: measured(training.name, each.name) for each in training.measurements}
        for training in few_classes.trainings("hours")[:-1]
    }
    return found | {"pixel_nearest_neighbour": {"test": {"accuracy": 0.25, "confidence_interval_95": 0.002}}}


@pytest.mark.parametrize("scale", SCALES)
def test_runs_differ_in_method_and_classes_alone(scale):
    *compared, pixels = few_classes.trainings(scale)
    names = {training.name for training in compared}
    assert len(names) == len(compared)
    assert {training.episodes for training in compared} == {compared[0].episodes}
    assert all("--n_way=3" in training.flags and "--k_shot=1" in training.flags for training in (*compared, pixels))


def test_a_number_stands_under_its_classes_and_beside_its_method(results):
    head, *rows = few_classes.table(results)
    assert head[2:] == ["4 trained on", "8 trained on", "16 trained on"]
    assert [row[:2] for row in rows[:2]] == [["meta_lstm, default", "new"], ["meta_lstm, default", "trained on"]]
    assert rows[0][2:] == ["0.40 ± 1.00", "0.80 ± 1.00", "1.60 ± 1.00"]
    assert rows[5][2:] == ["20.41 ± 1.00", "20.81 ± 1.00", "21.61 ± 1.00"]
    assert rows[6] == ["pixel_nearest_neighbour", "new", *["25.00 ± 0.20"] * 3]


def test_a_line_is_drawn_for_each_method_on_new_classes_and_on_old(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    few_classes.draw(results, axes)
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    pyplot.close(figure)
    assert lines.pop("pixel_nearest_neighbour, new classes") == [25, 25]
    assert len(lines) == 6
    assert lines["prototypical, new classes"] == pytest.approx([20.4, 20.8, 21.6])
    assert lines["meta_lstm, one step, those trained on"] == pytest.approx([10.41, 10.81, 11.61])


@pytest.mark.nightly
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(few_classes.STUDY, tmp_path, "small")
    assert len(rows) == 8 and all(len(row) == 4 for row in rows)
    assert {path.suffix for path in tmp_path.glob("few_classes.*")} == {".json", ".md", ".png"}
