"""The studies of Furrer et al.: what is compared, and where its numbers and curves go."""

import itertools

import pytest

from studies import augmentation, cells, choices, furrer, hidden_size
from studies.harness import SCALES, carry_out

STUDIES = {study.STUDY.name: study for study in (cells, hidden_size, augmentation, choices)}
DIFFERING = {
    "cells": {"cell", "hidden_units"},
    "hidden_size": {"hidden_units"},
    "augmentation": {"augment"},
    "choices": {
        *("clip_norm", "batch_norm_momentum", "query_statistics", "final_statistics"),
        *("input_gate_bias", "forget_gate_bias", "inner_gradient_scale"),
        *("several_step_loss", "hidden_units", "augment"),
    },
}


def options(training):
    """What a training's flags say, by name; True of one without a value."""
    pairs = (flag.removeprefix("--").partition("=") for flag in training.flags)
    return {name: value or True for name, _, value in pairs}


def made_up(trainings):
    """Results that tell which they are of: the run number n has tests of 0.n, and curves of 0.n1, 0.n2, ..."""
    return {
        training.name: {
            "test": {"accuracy": number / 10, "confidence_interval_95": 0.01},
            "curves": {
                "validation": [[500, number / 10 + 0.01], [1000, number / 10 + 0.03], [1500, number / 10 + 0.02]],
                "train_classes": [[500 * step, number / 10 + 0.04 + step / 100] for step in (1, 2, 3)],
            },
        }
        for number, training in enumerate(trainings, start=1)
    }


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", STUDIES)
def test_runs_differ_in_what_is_asked_alone_and_are_measured_alike(name, scale):
    trainings = STUDIES[name].trainings(scale)
    assert len({training.name for training in trainings}) == len(trainings) >= 2
    assert len({(training.episodes, training.measurements) for training in trainings}) == 1
    assert [each.command for each in trainings[0].measurements] == ["ml_lstm.evaluate", "studies.curves"]
    for one, other in itertools.combinations(map(options, trainings), 2):
        differing = {option for option in one.keys() | other.keys() if one.get(option) != other.get(option)}
        assert differing and differing <= DIFFERING[name]


@pytest.mark.parametrize("scale", SCALES)
def test_the_problem_is_the_sources_whatever_the_scale(scale):
    for training in (each for study in STUDIES.values() for each in study.trainings(scale)):
        found = options(training)
        assert (found["n_way"], found["k_shot"], found["validate_train_classes"]) == ("5", "5", True)
        assert int(found["inner_steps"]) > 1
        assert "shared_head" not in found and "second_order" not in found


@pytest.mark.parametrize("scale", SCALES)
def test_what_studies_have_in_common_they_share(scale):
    of = {name: {training.name: training for training in study.trainings(scale)} for name, study in STUDIES.items()}
    for one, other in itertools.combinations(of.values(), 2):
        assert all(one[name] == other[name] for name in one.keys() & other.keys())
    assert of["cells"].keys() & of["augmentation"].keys() == {furrer.name(augmented=True)}
    assert furrer.name() in of["choices"].keys() & of["augmentation"].keys()
    if scale != "small":
        assert of["hidden_size"].keys() & of["augmentation"].keys() == {furrer.name()}
        assert of["hidden_size"].keys() | of["augmentation"].keys() < of["choices"].keys()


@pytest.mark.parametrize(
    ("name", "first", "row"),
    [
        (
            "cells",
            "cell",
            ["Complete-LSTM", "57.5 ± 0.70", "30.00 ± 1.00", "33.0 at 1,000", "32.0", "37.0"],
        ),
        ("hidden_size", "hidden units", ["20", "30.00 ± 1.00", "33.0 at 1,000", "32.0", "37.0"]),
        (
            "augmentation",
            "meta-training images",
            ["unchanged", "57.7 ± 0.67", "20.00 ± 1.00", "23.0 at 1,000", "22.0", "27.0"],
        ),
        (
            "choices",
            "setting",
            ["4 hidden units", "30.00 ± 1.00", "33.0 at 1,000", "32.0", "37.0"],
        ),
    ],
)
def test_a_row_has_the_test_the_best_and_the_last_of_its_run(name, first, row):
    trainings = STUDIES[name].trainings("hours")
    head, *rows = STUDIES[name].table(made_up(trainings))
    assert head[0] == first and len(rows) == len(trainings)
    assert all(len(each) == len(head) for each in rows)
    assert row in rows


def test_published_figures_are_those_of_table_iii():
    rows = cells.table(made_up(cells.trainings("hours")))[1:]
    assert [row[:2] for row in rows] == [
        ["Adaptive SGD", "55.5 ± 0.70"],
        ["LSTM", "61.1 ± 0.69"],
        ["Complete-LSTM", "57.5 ± 0.70"],
        ["GRU", "59.7 ± 0.67"],
    ]


def test_of_hidden_sizes_those_are_shown_that_there_are():
    rows = hidden_size.table(made_up(hidden_size.trainings("small")))[1:]
    assert [row[0] for row in rows] == ["1", "4"]


@pytest.mark.parametrize("name", STUDIES)
def test_each_run_has_a_curve_on_either_kind_of_classes(name):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    trainings = STUDIES[name].trainings("hours")
    figure, axes = pyplot.subplots(*STUDIES[name].STUDY.panels, squeeze=False)
    STUDIES[name].draw(made_up(trainings), axes)
    left, right = ([line for line in panel.lines if len(line.get_xdata()) > 1] for panel in axes[0])
    limits = [panel.get_ylim() for panel in axes[0]]
    pyplot.close(figure)
    assert len(left) == len(right) == len(trainings)
    shown = [value for line in (*left, *right) for value in line.get_ydata()]
    assert limits[0] == limits[1] and limits[0][0] < min(shown) < max(shown) < limits[0][1]
    for number, (on_trained, on_new) in enumerate(zip(left, right, strict=True), start=1):
        assert on_trained.get_label() == on_new.get_label()
        assert list(on_new.get_xdata()) == [500, 1000, 1500]
        assert list(on_new.get_ydata()) == pytest.approx([10 * number + 1, 10 * number + 3, 10 * number + 2])
        assert list(on_trained.get_ydata()) == pytest.approx([10 * number + 5, 10 * number + 6, 10 * number + 7])


@pytest.mark.nightly
@pytest.mark.parametrize("name", STUDIES)
def test_it_runs_at_its_small_scale(name, tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(STUDIES[name].STUDY, tmp_path, "small")
    assert len(rows) == 1 + len(STUDIES[name].trainings("small"))
    assert {path.suffix for path in tmp_path.glob(f"{name}.*")} == {".json", ".md", ".png"}
