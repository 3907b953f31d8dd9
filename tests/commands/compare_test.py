"""Runs side by side: what they came to, where they differ, and what goes to files."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from ml_lstm import compare
from ml_lstm.command_line import records
from ml_lstm.episode import Problem
from ml_lstm.errors import UserError
from ml_lstm.plots.learning_curves import draw_curve, draw_learning_curves
from ml_lstm.runs import RunDirectory, settings
from ml_lstm.runs.comparison import differing, outcome
from ml_lstm.training import Progress

_RESULT = {
    "split": "test",
    "n_way": 5,
    "k_shot": 1,
    "n_query": 15,
    "dataset": "glyphs",
    "confidence_interval_95": 0.004,
}


def made(path, validations=(), seconds=0.0, train_classes=(), **given):
    """A run that was validated so often, its weights those of chance; its path."""
    values = settings.complete({"method": "prototypical", "filters": 2, "image_size": 16} | given)
    run = RunDirectory(path)
    problem = Problem((16, 16, 1), 5, 7, [0.5], [0.2])
    run.create(settings.bound(values), problem, "its classes")
    method, progress = settings.build_method(values, problem), Progress()
    progress.train_classes += train_classes
    for number, validation in enumerate(validations, start=1):
        progress.validations.append(validation)
        progress.seconds = seconds * number
        if validation[1] == progress.best_accuracy:
            run.best(model=method, progress=progress).save(validation[0])
        run.backup(model=method, progress=progress).save(validation[0])
    return str(path)


def evaluated(run, name, **found):
    with open(os.path.join(run, f"evaluate-{name}.json"), "w") as file:
        json.dump(_RESULT | found, file)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs")
    first = made(directory / "first", [(100, 0.5), (200, 0.75), (300, 0.625)], 60)
    second = made(directory / "second", [(100, 0.25)], 30, filters=3, learning_rate=0.01)
    other = made(directory / "other", [(100, 0.875)], 45, [(100, 0.9375)], method="maml")
    evaluated(second, "b", accuracy=0.5, episodes=600, train_episodes=100, train_seconds=99)
    os.utime(os.path.join(second, "evaluate-b.json"), (1, 1))
    evaluated(second, "a", accuracy=0.45678, episodes=60, train_episodes=90, train_seconds=90)
    return first, second, other


@pytest.fixture(scope="module")
def outcomes(runs):
    return [outcome(run) for run in runs]


def test_a_run_is_told_by_its_newest_evaluation_and_else_by_its_best_validation(outcomes, runs):
    head, *rows = compare.results(outcomes)
    assert head == ["run", "accuracy, %", "of", "episodes", "minutes", "parameters"]
    first, second, _ = (row[1:-1] for row in rows)
    assert first == ["75.00", "best meta-validation", "200", "2.0"]
    assert second == ["45.68 ± 0.40", "glyphs test, 5-way 1-shot, 60 episodes", "90", "1.5"]
    assert [row[0] for row in rows] == list(runs)


def test_parameters_are_what_training_moves(outcomes):
    # Four blocks of convolutions without the averages of their batch norm: kernel, bias, scale and shift.
    sizes = [9 * before * filters + 3 * filters for filters in (2, 3) for before in (1, filters, filters, filters)]
    assert [outcomes[0].parameters, outcomes[1].parameters] == [sum(sizes[:4]), sum(sizes[4:])]


def test_the_whole_learning_curve_is_there(outcomes):
    assert outcomes[0].validations == [(100, 0.5), (200, 0.75), (300, 0.625)]
    assert [found.train_classes for found in outcomes] == [[], [], [(100, 0.9375)]]


def test_only_options_that_differ_are_listed(outcomes):
    assert differing(outcomes[:2]) == {"filters": [2, 3], "learning_rate": [0.001, 0.01]}
    head, *rows = compare.options(outcomes)
    assert head == ["option", *(found.name for found in outcomes)]
    rows = {row[0]: row[1:] for row in rows}
    assert rows["--method"] == ["prototypical", "prototypical", "maml"]
    assert rows["--inner_steps"][:2] == ["-", "-"] and rows["--inner_steps"][2].isdigit()
    assert "--seed" not in rows
    assert not differing(outcomes[:1])


def test_csv_has_numbers_as_they_are(outcomes):
    head, first, second, _ = compare.whole_rows(outcomes)
    assert dict(zip(head, second, strict=True))["accuracy"] == 0.45678
    assert dict(zip(head, first, strict=True))["confidence_interval_95"] is None
    assert dict(zip(head, first, strict=True))["filters"] == "2"
    assert len({len(row) for row in (head, first, second)}) == 1


def test_a_table_in_markdown_keeps_its_columns_whatever_a_run_is_called():
    assert compare.as_markdown([["run", "n"], ["a|b", "1"]]) == "| run | n |\n| --- | --- |\n| a\\|b | 1 |"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: str(path), "is not a run directory"),
        (lambda path: made(path), "has no checkpoint yet: train it first"),
    ],
)
def test_what_cannot_be_compared_is_refused(make, words, tmp_path):
    with pytest.raises(UserError, match=words):
        outcome(make(tmp_path / "run"))


def test_a_run_that_was_not_validated_yet_is_refused_unless_it_was_evaluated(tmp_path):
    run = made(tmp_path / "run")
    directory = RunDirectory(run)
    method = settings.build_method(directory.values(), directory.problem())
    directory.backup(model=method, progress=Progress()).save(7)
    with pytest.raises(UserError, match="run has no evaluation and no validation yet: train it"):
        outcome(run)
    evaluated(run, "a", accuracy=0.5, episodes=60)
    assert outcome(run).episodes == 7


def test_learning_curves_are_a_picture_with_a_color_a_run(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves"
    draw_learning_curves({"_a": [(1, 0.5), (2, 0.75)], "$\\b$": [(1, 0.25)]}, path)
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    colored = {tuple(pixel) for pixel in pixels[np.ptp(pixels, axis=-1) > 120]}
    assert {(31, 119, 180), (255, 127, 14)} <= colored


def test_a_curve_on_meta_train_classes_is_dashed_in_the_color_of_its_run():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    color = draw_curve(axes, [(1, 0.5), (2, 0.75), (3, 0.25)], "new")
    draw_curve(axes, [(1, 0.5), (3, 1)], "trained on", color=color, linestyle="--", dot=False)
    new, dot, trained_on = axes.lines
    pyplot.close(figure)
    assert list(new.get_ydata()) == [50, 75, 25]
    assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([2], [75])
    assert (trained_on.get_color(), trained_on.get_linestyle()) == (new.get_color(), "--")


def test_the_command_prints_and_writes_all_and_refuses_in_one_line(commands, runs, tmp_path):
    pytest.importorskip("matplotlib")
    files = {kind: tmp_path / f"all.{kind}" for kind in ("png", "csv", "markdown", "json")}
    finished = commands.run("compare", *runs, *(f"--{kind}={path}" for kind, path in files.items()))
    assert finished.status == 0, finished.stderr
    for word in ("45.68 ± 0.40", "75.00", "--learning_rate", "tensorboard --logdir="):
        assert word in finished.stdout
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(files["csv"].open()))
    assert [(row["run"], float(row["accuracy"])) for row in rows] == list(
        zip(runs, (0.75, 0.45678, 0.875), strict=True)
    )
    written = json.loads(files["json"].read_text())
    assert written["commit"] == records.commit()
    first, _, other = written["runs"]
    assert first["validations"] == [[100, 0.5], [200, 0.75], [300, 0.625]]
    assert other["train_classes"] == [[100, 0.9375]]
    assert first["options"]["learning_rate"] == 0.001
    tables = files["markdown"].read_text().split("\n\n")
    assert [table.split(" | ")[0] for table in tables] == ["| run", "| option"]
    refused = commands.run("compare", runs[0], str(tmp_path / "none"))
    assert "none is not a run directory" in refused.refusal()
    assert "Give the directories" in commands.run("compare").refusal()
