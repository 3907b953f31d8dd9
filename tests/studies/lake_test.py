"""One-shot classification beside people: what is trained, what a trial is, and where its numbers go."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_lstm.data.one_shot_runs import OneShotRun
from ml_lstm.errors import UserError
from ml_lstm.serving.exported import Answer, NoPictureError
from studies import lake, lake_trials
from studies.harness import SCALES, carry_out

ROOT = Path(__file__).parents[2]
TFDS = Path(os.environ.get("ML_LSTM_DATA_DIR") or ROOT.parent / "shared/data/tfds")
NAMES = (
    "prototypical",
    "prototypical_within_alphabets",
    "meta_networks",
    "siamese",
    "pixel_nearest_neighbour",
)


class Model:
    """Knows the right answer of each image, but for those that it is told to miss or cannot read."""

    def __init__(self, missed=(), unreadable=()):
        self.missed, self.unreadable = missed, unreadable

    def adapt(self, contents, labels):
        return dict(zip(contents, labels, strict=True))

    def classify(self, adaptation, contents):
        if contents in self.unreadable:
            raise NoPictureError("is a damaged PNG.")
        right = adaptation[contents.upper()]
        others = [label for label in adaptation.values() if label != right]
        return Answer(others[0] if contents in self.missed else right, {})


RUN = OneShotRun("run01", (b"A", b"B", b"C"), (b"c", b"a", b"b"), (2, 0, 1))


def test_a_trial_is_right_where_the_model_names_the_training_image_of_its_character():
    assert lake_trials.trials(Model(), RUN) == [True, True, True]
    assert lake_trials.trials(Model(missed=(b"a",)), RUN) == [True, False, True]


def test_an_image_that_the_model_cannot_read_is_said_of_its_run():
    with pytest.raises(UserError, match=r"run01: is a damaged PNG\."):
        lake_trials.trials(Model(unreadable=(b"b",)), RUN)


def test_what_asks_the_export_has_no_method_in_it():
    code = "import sys, studies.lake_trials; print([name for name in sys.modules if 'ml_lstm.methods' in name])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "[]"


@pytest.mark.parametrize("wrong", [0, 1, 13, 200, 400])
def test_the_interval_has_the_errors_whose_own_interval_would_reach_the_one_found(wrong):
    """Wilson's ends are the p with |p - found| = 1.96 sqrt(p (1 - p) / n)."""
    right = {f"run{number:02d}": [False] * (wrong // 20) + [True] * (20 - wrong // 20) for number in range(20)}
    right["run00"] = [*right["run00"][: 20 - wrong % 20], *[False] * (wrong % 20)]
    found = lake_trials.summary(right)
    assert (found["trials"], found["error"]) == (400, wrong / 400)
    assert sum(found["errors_by_run"].values()) == wrong
    low, high = found["interval_95"]
    assert 0 <= low <= found["error"] <= high <= 1 and high - low > 0.005
    for end in (low, high):
        if 0 < end < 1:
            assert abs(end - found["error"]) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / 400), abs=1e-9)


def measured(name):
    error = (1 + NAMES.index(name)) / 100
    return {"error": error, "interval_95": [error - 0.005, error + 0.02], "all_runs": None}


@pytest.fixture
def results():
    return {name: {"drawn_runs": measured(name)} for name in NAMES}


@pytest.mark.parametrize("scale", SCALES)
def test_all_is_learned_from_the_background_alphabets(scale):
    trainings = lake.trainings(scale)
    assert {training.name for training in trainings} <= {*NAMES}
    assert len(trainings) == (3 if scale == "small" else 5)
    for training in trainings:
        assert {"--omniglot_protocol=lake", "--noomniglot_validation"} < {*training.flags}
        assert bool(training.episodes) == (training.name != "pixel_nearest_neighbour")
        assert ("--within_alphabets" in training.flags) == training.name.endswith("within_alphabets")


def test_published_and_drawn_runs_have_results_of_their_own():
    trainings = (lake.trainings("hours", given) for given in (None, "a/all_runs.zip"))
    (drawn,), (published,) = (of[0].measurements for of in trainings)
    assert drawn.name != published.name
    assert (drawn.flags, published.flags) == ((), ("--all_runs=a/all_runs.zip",))


def test_the_papers_errors_stand_beside_ours(results):
    head, *rows = lake.table(results)
    assert head[1] == "error, %, drawn runs"
    by_name = {row[0]: row[1:] for row in rows}
    assert len(by_name) == len(rows)
    assert by_name["prototypical, within alphabets"] == ["2.00", "1.5 to 4.0", ""]
    assert by_name["meta_networks"] == ["3.00", "2.5 to 5.0", "4.08"]
    assert by_name["people"] == ["", "", "4.5"]
    assert by_name["Bayesian program learning"] == ["", "", "3.3"]
    assert by_name["siamese"][2] == "8.0" and by_name["pixel_nearest_neighbour"][2] == "78.3"
    published = {name: {"all_runs": measured(name) | {"all_runs": "abc"}} for name in NAMES}
    assert lake.table(published)[0][1] == "error, %, published runs"


def test_a_point_has_its_interval_and_people_are_a_line(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    lake.draw(results, axes)
    points = [(*container[0].get_xdata(), *container[0].get_ydata()) for container in axes.containers]
    ends = [segment[:, 0].tolist() for lines in axes.collections for segment in lines.get_segments()]
    lines = {line.get_label(): line.get_xdata() for line in axes.lines}
    pyplot.close(figure)
    assert points == [pytest.approx((place + 1, place)) for place in range(5)]
    assert ends[2] == pytest.approx([2.5, 5])
    assert list(lines["people, 4.5 %"]) == [4.5, 4.5]
    assert "siamese, 8.0 %" not in lines


@pytest.mark.nightly
@pytest.mark.skipif(not (TFDS / "omniglot").is_dir(), reason=f"no Omniglot in {TFDS}: set ML_LSTM_DATA_DIR")
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(lake.STUDY, tmp_path, "small", str(TFDS))
    errors = {row[0]: float(row[1]) for row in rows[1:] if row[1]}
    assert len(errors) == 3 and all(0 <= error <= 100 for error in errors.values())
    assert 60 < errors["pixel_nearest_neighbour"] < 90  # 78.3 in the papers
    assert {path.suffix for path in tmp_path.glob("lake.*")} == {".json", ".md", ".png"}
