"""One problem after another: what is handed on, that a kill changes nothing, and where numbers go."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studies import continual
from studies.harness import SCALES, carry_out

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results():
    """Three repeats that lose 0, 1 and 2 points with 2400 trials, and thrice that with 7600."""

    def steps(points):
        return {
            str(trials): {"after": 0.9 - factor * points / 100, "train_accuracy": accuracy}
            for trials, factor, accuracy in ((7600, 3, 0.9), (2400, 1, 0.7))
        }

    return {f"seed_{seed}": {"continual": {"before": 0.9, "steps": steps(seed)}} for seed in range(3)}


@pytest.mark.parametrize("scale", SCALES)
def test_repeats_differ_in_their_seed_alone(scale):
    runs = continual.trainings(scale)
    assert len(runs) == (2 if scale == "small" else 5)
    assert len({training.flags for training in runs}) == len(runs)
    others = {tuple(flag for flag in training.flags if not flag.startswith("--seed=")) for training in runs}
    assert len(others) == 1


def test_the_published_trials_are_those_of_figure_4():
    flags = continual.trainings("paper")[0].flags
    assert {"--step=400", "--second_episodes=7600", "--second=dataset=mnist", "--embedding_network=mlp"} <= {*flags}


def test_a_difference_stands_beside_the_published_one_in_the_order_of_trials(results):
    _, before, *rows = continual.table(results)
    assert before[1].startswith("90.00 ± 0.00 %")
    assert [row[0] for row in rows] == ["2400", "7600"]
    assert rows[0][1:] == ["-1.00 ± 1.00", "above 0", "70.0", "over 72"]
    assert rows[1][1:] == ["-3.00 ± 3.00", "-1.7", "90.0", "over 90"]


def test_the_mean_of_the_repeats_is_drawn(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots(*continual.STUDY.panels, squeeze=False)
    continual.draw(results, axes)
    of_first, of_second = axes.flat
    (bars,) = of_first.containers
    assert list(bars.lines[0].get_ydata()) == pytest.approx([-1, -3])
    assert list(of_second.lines[0].get_ydata()) == pytest.approx([70, 90])
    pyplot.close(figure)


def command(run, *more):
    training = continual.trainings("small")[0]
    words = [sys.executable, "-m", training.command, *training.flags, f"--episodes={training.episodes}"]
    return [*words, f"--run_dir={run}", *more]


@pytest.mark.nightly
def test_a_killed_training_goes_on_from_its_last_step_to_the_same_numbers(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), cwd=ROOT, check=True)
    process = subprocess.Popen(command(killed), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("Episode 10 of the second"):
            break
    while not list((killed / "second").glob("episode-10.index")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    said = subprocess.run(command(killed), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert [line[:32] for line in said.splitlines() if line.startswith("Episode")] == [
        "Episode 20 of the second problem"
    ]
    found, expected = (json.loads((run / "continual.json").read_text()) for run in (killed, whole))
    assert found == expected
    assert sorted(found["steps"]) == ["10", "20"]
    other = subprocess.run(command(killed, "--step=5"), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert other.returncode == 1 and "belongs to another configuration" in other.stderr


@pytest.mark.nightly
def test_it_runs_at_its_small_scale(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    rows = carry_out(continual.STUDY, tmp_path, "small")
    assert [row[0] for row in rows[1:]] == ["0", "10", "20"]
    assert {path.suffix for path in tmp_path.glob("continual.*")} == {".json", ".md", ".png"}
