"""Cross-domain: what is trained and tested with which data, and where its numbers go."""

import os
from pathlib import Path

import numpy as np
import pytest

from studies import cross_domain
from studies.harness import SCALES, carry_out

TFDS = Path(os.environ.get("ML_LSTM_DATA_DIR") or Path(__file__).parents[3] / "shared/data/tfds")
KNOWN = ["omniglot", "glyphs", "cifar_fs", "cub", "mini_imagenet"]


@pytest.fixture
def with_all_data(tmp_path):
    """A data directory in which CUB and mini-ImageNet are found."""
    for builder in ("caltech_birds2011", "mini_imagenet"):
        (tmp_path / builder / "1.0.0").mkdir(parents=True)
        (tmp_path / builder / "1.0.0" / "dataset_info.json").write_text("{}")
    return str(tmp_path)


def matrix(runs):
    return [run.name.partition("_from_")[2] for run in runs], [each.name for each in runs[0].measurements]


@pytest.mark.parametrize("scale", ["hours", "paper"])
def test_cub_and_mini_imagenet_are_taken_where_they_are_found(scale, with_all_data, tmp_path):
    trained, tested = matrix(cross_domain.trainings(scale, with_all_data))
    assert (set(trained), tested) == ({*KNOWN, ""}, [*KNOWN, "mnist"])
    trained, tested = matrix(cross_domain.trainings(scale, str(tmp_path / "empty")))
    assert (set(trained), tested) == ({*KNOWN[:3], ""}, [*KNOWN[:3], "mnist"])


@pytest.mark.parametrize("scale", SCALES)
def test_each_run_is_tested_on_the_same_problems_and_none_is_trained_on_digits(scale):
    runs = cross_domain.trainings(scale)
    assert len({tuple(run.measurements) for run in runs}) == 1
    assert not [run.name for run in runs if "mnist" in run.name]
    assert all({"--n_way=5", "--k_shot=5"} <= set(run.flags) for run in runs)
    assert all(f"--dataset={each.name}" in each.flags for each in runs[0].measurements)


@pytest.fixture
def results(with_all_data):
    """Accuracies that tell which they are of, 0.<row><column>."""
    runs = cross_domain.trainings("hours", with_all_data)
    return {
        run.name: {
            each.name: {"accuracy": row / 100 + column / 1000, "confidence_interval_95": 0.01}
            for column, each in enumerate(run.measurements)
        }
        for row, run in enumerate(runs)
    }


def test_a_number_stands_in_the_row_of_training_and_the_column_of_the_test(results):
    head, *rows = cross_domain.table(results)
    assert head == ["method", "trained on", *(f"tested on {name}" for name in (*KNOWN, "mnist"))]
    assert rows[1][:4] == ["meta_lstm", "glyphs", "1.00 ± 1.00", "1.10 ± 1.00"]
    assert rows[0][6] == "0.40 ± 1.00 (paper: 32.3 ± 0.54)"
    assert rows[5][:2] == ["prototypical", "omniglot"] and "paper" not in rows[5][6]
    assert rows[-1][:2] == ["pixel_nearest_neighbour", "-"]


def test_colours_have_the_same_order(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    cross_domain.draw(results, axes)
    np.testing.assert_allclose(axes.images[0].get_array()[7], [7, 7.1, 7.2, 7.3, 7.4, 7.5])
    assert axes.get_yticklabels()[7].get_text() == "prototypical, cifar_fs"
    pyplot.close(figure)


@pytest.mark.nightly
@pytest.mark.skipif(not (TFDS / "mnist").exists(), reason="the data sets are not at hand: set ML_LSTM_DATA_DIR")
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(cross_domain.STUDY, tmp_path, "small", str(TFDS))
    assert [row[1] for row in rows] == ["trained on", "glyphs", "cifar_fs", "-"]
    assert rows[0][2:] == ["tested on glyphs", "tested on cifar_fs", "tested on mnist"]
