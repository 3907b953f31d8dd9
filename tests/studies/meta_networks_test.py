"""Variants of Meta Networks by ways: what is trained, and where numbers go beside the published ones."""

import pytest

from studies import meta_networks
from studies.harness import SCALES, carry_out

WAYS = (5, 10, 15, 20)
METHODS = ("meta_networks_minus", "meta_networks", "meta_networks_plus")


def measured(name):
    """A result that tells which it is of: 0.<split><method><ways>."""
    split, *method, way = name.split("_")
    way = int(way.removesuffix("way"))
    value = (split == "standard") / 10 + METHODS.index("_".join(method)) / 100 + way / 10000
    return {"accuracy": value, "confidence_interval_95": 0.01, "n_way": way}


@pytest.fixture
def results():
    return {training.name: {"test": measured(training.name)} for training in meta_networks.trainings("hours")}


@pytest.mark.parametrize("scale", SCALES)
def test_each_variant_is_trained_on_as_many_classes_as_it_is_tested_on(scale):
    runs = meta_networks.trainings(scale)
    assert len({training.name for training in runs}) == len(runs) == (3 + 1) * (2 if scale == "small" else 4)
    for training in runs:
        ways = training.name.rpartition("_")[2].removesuffix("way")
        assert f"--n_way={ways}" in training.flags
        assert not any("n_way" in flag for each in training.measurements for flag in each.flags)


@pytest.mark.parametrize("scale", ["hours", "paper"])
def test_the_splits_are_those_without_a_validation_set_and_have_400_trials(scale):
    for training in meta_networks.trainings(scale):
        protocol = "lake" if training.name.startswith("standard") else "vinyals"
        assert {f"--omniglot_protocol={protocol}", "--noomniglot_validation"} <= {*training.flags}
        assert "--episodes=400" in training.measurements[0].flags


def test_a_number_stands_beside_the_published_one(results):
    head, *rows = meta_networks.table(results)
    assert head[2:6] == ["5-way", "5-way, published", "10-way", "10-way, published"]
    assert [row[:2] for row in rows] == [
        *(["previous", variant] for variant in ("MetaNet-", "MetaNet", "MetaNet+")),
        ["standard", "MetaNet"],
    ]
    assert rows[1][2:6] == ["1.05 ± 1.00", "98.95", "1.10 ± 1.00", "98.67"]
    assert rows[3][-2:] == ["11.20 ± 1.00", "95.92"]


def test_a_line_is_drawn_for_each_variant_in_the_panel_of_its_split(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots(*meta_networks.STUDY.panels, squeeze=False)
    meta_networks.draw(results, axes)
    ours = [[list(bar.lines[0].get_ydata()) for bar in panel.containers] for panel in axes.flat]
    published = [
        [list(line.get_ydata()) for line in panel.lines if line.get_linestyle() == "--"] for panel in axes.flat
    ]
    pyplot.close(figure)
    assert [len(lines) for lines in ours] == [len(lines) for lines in published] == [3, 1]
    assert ours[0][2] == pytest.approx([2.05, 2.1, 2.15, 2.2])
    assert published[1] == [[98.45, 97.32, 96.4, 95.92]]


@pytest.mark.nightly
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(meta_networks.STUDY, tmp_path, "small")
    assert len(rows) == 5 and all(len(row) == 6 for row in rows)
    assert {path.suffix for path in tmp_path.glob("meta_networks.*")} == {".json", ".md", ".png"}
