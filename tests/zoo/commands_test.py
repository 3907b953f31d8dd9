"""From a run to a model of the zoo, its figures and its export, by the commands."""

import json

import pytest

from ml_lstm import zoo
from ml_lstm.methods import Calibrated
from tests import forks
from tests.zoo.tiny import WORDS

pytestmark = pytest.mark.slow_unless(run_and_model=["meta_lstm"])


def run(command, *flags):
    return forks.run(f"ml_lstm.{command}", *flags)


@pytest.fixture(scope="module")
def added(run_and_model, tmp_path_factory):
    """What `zoo.add` made of the run."""
    directory = tmp_path_factory.mktemp("zoo")
    words = [f"--{name}={WORDS[name]}" for name in ("trained_on", "licence", "confidence")]
    words += [f"--bad_at={sentence}" for sentence in WORDS["bad_at"]]
    words += [f"--json={directory / 'calibration.json'}", "--episodes=3"]
    result = run("zoo.add", f"--run_dir={run_and_model[0].path}", "--name=tiny", f"--zoo_dir={directory}", *words)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("tiny: 4 episodes of ")
    measured = json.loads((directory / "calibration.json").read_text())
    assert [test["k_shot"] for test in measured["tests"]] == [1, 5]
    assert (measured["n_way"], measured["unknown_classes"], measured["episodes"]) == (5, 5, 3)
    return zoo.find(str(directory / "tiny"))


@pytest.mark.slow
def test_a_run_becomes_a_model_with_figures_and_an_export(added, tmp_path):
    assert WORDS.items() <= added.card.items()
    assert added.card["limits"][-3:] == [*WORDS["bad_at"], WORDS["confidence"]]
    assert any("familiarity below 0.05" in limit for limit in added.card["limits"])
    assert [len(values) for values in added.card["calibration"]["unfamiliarities"]] == [200, 200]
    assert isinstance(added.method(), Calibrated)
    figures = tmp_path / "zoo_tiny_5way_1shot.json"
    result = run("evaluate", f"--model={added.path}", f"--json={figures}", "--episodes=4")
    assert result.returncode == 0, result.stderr
    measured = json.loads(figures.read_text())
    assert (measured["model"], measured["train_episodes"], measured["flags"]) == ("tiny", 4, added.card["flags"])

    result = run("zoo.figures", f"--model={added.path}", f"--results={figures}")
    assert result.returncode == 0, result.stderr
    (figure,) = zoo.card(str(added.path))["figures"]
    assert (figure["result"], figure["accuracy"]) == (figures.name, measured["accuracy"])

    result = run("export", f"--model={added.path}", f"--export_dir={tmp_path / 'models'}")
    assert result.returncode == 0, result.stderr
    card = json.loads((tmp_path / "models" / "1" / "assets.extra" / "model_card.json").read_text())
    assert card == zoo.card(str(added.path))


def test_figures_of_other_weights_are_refused(added, tmp_path):
    result = {"accuracy": 0.5, "confidence_interval_95": 0.1, "episodes": 4, "dataset": "glyphs", "split": "test"}
    result |= {"n_way": 5, "k_shot": 1, "n_query": 2, "train_episodes": 8}
    (tmp_path / "other.json").write_text(json.dumps(result))
    refused = run("zoo.figures", f"--model={added.path}", f"--results={tmp_path / 'other.json'}")
    assert refused.returncode == 1
    assert "is for weights of 8 episodes, but tiny has weights of 4" in refused.stderr.splitlines()[-1]
    (tmp_path / "steps.json").write_text(json.dumps(result | {"train_episodes": 4, "inner_steps": 3}))
    refused = run("zoo.figures", f"--model={added.path}", f"--results={tmp_path / 'steps.json'}")
    assert "is for 3 inner steps, unlike tiny" in refused.stderr.splitlines()[-1]
    assert added.card["figures"] == []


def test_a_run_and_a_model_exclude_one_another():
    for command, flags in {
        "export": ["--run_dir=a", "--model=b", "--export_dir=c"],
        "evaluate": ["--run_dir=a", "--model=b", "--json=c"],
    }.items():
        refused = run(command, *flags)
        assert refused.returncode == 2
        assert "give exactly one of --run_dir or --model" in refused.stderr.splitlines()[-1]
