"""Ways: what is compared, where its numbers go, and what a method says that answers no more than it was trained for."""

import json

import pytest

from ml_lstm.episode import Problem
from ml_lstm.errors import UserError
from ml_lstm.runs import RunDirectory, settings
from ml_lstm.training import Progress
from studies import ways
from studies.harness import SCALES, carry_out
from tests import forks


def measured(name, tested):
    """Accuracies that tell which they are of, 0.<trained><tested>; `mann` answers as many classes as trained."""
    method, trained = ways._parts(name)
    if method == "mann" and int(tested) > trained:
        return {"most_classes": trained}
    return {"accuracy": trained / 100 + int(tested) / 10_000, "confidence_interval_95": 0.01}


@pytest.fixture
def results():
    return {
        training.name: {each.name: measured(training.name, each.name[: -len("_way")]) for each in training.measurements}
        for training in ways.trainings("hours", ("mann", "meta_networks"))
    }


@pytest.mark.parametrize("scale", SCALES)
def test_runs_differ_in_method_and_classes_and_each_is_tested_alike(scale):
    runs = ways.trainings(scale)
    assert len({run.name for run in runs}) == len(runs)
    assert len({tuple(run.measurements) for run in runs}) == len({run.episodes for run in runs}) == 1
    for run in runs:
        _, trained = ways._parts(run.name)
        assert {f"--n_way={trained}", f"--train_n_way={trained}"} <= set(run.flags)


def test_any_method_with_a_file_can_be_compared_and_another_is_named():
    assert {ways._parts(run.name)[0] for run in ways.trainings("small", ["matching_fce"])} == {"matching_fce"}
    with pytest.raises(UserError, match=r"--methods=knn has no file in configs/: give some of .*meta_networks"):
        ways.trainings("small", ["knn"])


def test_a_number_stands_beside_the_papers_and_a_limit_in_place_of_one(results):
    head, *rows = ways.table(results)
    assert head == ["method", "trained on", "5-way", "10-way", "15-way", "20-way", "100-way"]
    assert rows[0] == ["mann", "5-way", "5.05 ± 1.00", *["at most 5 classes"] * 4]
    assert rows[5][:3] == ["meta_networks", "10-way", "10.05 ± 1.00 (paper: 99.25)"]
    assert rows[5][-1] == "11.00 ± 1.00 (paper: 65)"
    assert rows[7][5] == "20.20 ± 1.00 (paper: 97)"


def test_a_line_goes_as_far_as_a_method_answers(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    ways.draw(results, axes)
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    pyplot.close(figure)
    assert len(lines) == 8
    assert lines["mann, 10-way training"] == ([5, 10], pytest.approx([10.05, 10.1]))
    assert lines["meta_networks, 5-way training"][0] == [5, 10, 15, 20, 100]


@pytest.fixture
def run(tmp_path):
    """A run of a method for five classes, saved before its first episode."""
    chosen = {"method": "maml", "filters": 2, "image_size": 16, "inner_steps": 1, "n_query": 1}
    values = settings.complete(chosen)
    found, problem = RunDirectory(tmp_path / "run"), Problem((16, 16, 1), 5, None, [0.5], [0.5])
    found.create(settings.bound(values), problem, settings.load_data(values).class_digest())
    found.backup(model=settings.build_method(values, problem), progress=Progress()).save(0)
    return found.path


def test_up_to_its_limit_a_run_is_evaluated_and_beyond_it_says_so(run, tmp_path):
    def ended(n_way):
        words = [f"--run_dir={run}", f"--n_way={n_way}", "--episodes=2", f"--json={tmp_path / f'{n_way}.json'}"]
        result = forks.run("studies.up_to_limit", *words)
        assert result.returncode == 0, result.stderr
        return json.loads((tmp_path / f"{n_way}.json").read_text())

    assert ended(6) == {"most_classes": 5}
    assert 0 <= ended(4)["accuracy"] <= 1


@pytest.mark.nightly
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(ways.STUDY, tmp_path, "small")
    assert rows[0] == ["method", "trained on", "5-way", "10-way"] and len(rows) == 3
    assert {path.suffix for path in tmp_path.glob("ways.*")} == {".json", ".md", ".png"}
