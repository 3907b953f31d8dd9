"""Tests of `train --initial_weights`: classifier training first, then meta-training from its network."""

import json
import re
import shutil

import pytest

pytestmark = pytest.mark.slow

_CLASSIFIER = ("--method=fine_tuning", "--batch_size=16")


def _meta_trained(commands, runs):
    """A classifier; a run from there; one that is killed and goes on when the classifier is gone; without the flag."""
    first = commands.train(runs / "classifier", *_CLASSIFIER)
    flags = ("--method=meta_baseline", f"--initial_weights={runs / 'classifier'}")
    whole = commands.train(runs / "whole", *flags)
    commands.train_until_killed(runs / "killed", 0, 0.0, *flags)
    (runs / "classifier").rename(runs / "away")
    resumed = commands.train(runs / "killed", *flags)
    (runs / "away").rename(runs / "classifier")
    otherwise = commands.train(runs / "whole", "--method=meta_baseline")
    evaluated = commands.run("evaluate", f"--run_dir={runs / 'whole'}", "--episodes=4")
    exported = commands.run("export", f"--run_dir={runs / 'whole'}", f"--export_dir={runs / 'models'}")
    return first, whole, resumed, otherwise, evaluated, exported


@pytest.fixture(scope="module")
def ended(commands, tmp_path_factory):
    """`(directory of the runs, how the commands ended)`."""
    runs = tmp_path_factory.mktemp("initial")
    return runs, _meta_trained(commands, runs)


def test_meta_training_starts_from_the_network_of_the_classifier(ended):
    runs, (first, whole, *_) = ended
    assert first.status == whole.status == 0, first.stderr + whole.stderr
    (line,) = re.findall("Initial weights: .*", whole.stdout)
    assert re.fullmatch(
        rf"Initial weights: the network of {runs / 'classifier'}, by fine_tuning, at episode \d+; at their initial "
        r"values: temperature\.",
        line,
    )


def test_a_run_is_bound_to_what_it_started_from(ended):
    runs, (_, _, _, otherwise, *_) = ended
    flags = json.loads((runs / "whole" / "flags.json").read_text())["flags"]
    assert flags["initial_weights"] == str(runs / "classifier")
    assert f"--initial_weights was '{runs / 'classifier'}', is None" in otherwise.refusal()


def test_a_killed_run_goes_on_to_the_same_bits_though_the_other_one_is_gone(ended, saved):
    runs, (_, _, resumed, *_) = ended
    assert resumed.status == 0, resumed.stderr
    assert "Initial weights" not in resumed.stdout
    assert saved(runs / "killed") == saved(runs / "whole")


def test_it_is_evaluated_and_exported_like_any_other(ended):
    _, (*_, evaluated, exported) = ended
    assert evaluated.status == exported.status == 0, evaluated.stderr + exported.stderr


_REFUSED = {
    "another learner": (("--learner=conv4_2pool",), r"has another network \(--learner was 'conv4', is 'conv4_2pool'"),
    "other filters": (("--filters=8",), r"has another network \(--filters was 4, is 8; .*kernel is 3x3x1x8, there "),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_a_run_of_another_network_is_refused_in_one_line_with_what_differs(case, ended, commands, tmp_path):
    runs, _ = ended
    more, words = _REFUSED[case]
    flags = ("--method=meta_baseline", f"--initial_weights={runs / 'classifier'}", *more)
    assert re.search(words, commands.train(tmp_path / "run", *flags).refusal())
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_or_is_not_trained_is_refused_in_one_line(ended, commands, tmp_path):
    runs, _ = ended
    flags = ("--method=meta_baseline", f"--initial_weights={tmp_path}")
    assert re.search(
        "is not a run directory.*give one that train created", commands.train(tmp_path / "a", *flags).refusal()
    )
    shutil.copy(runs / "classifier" / "flags.json", tmp_path)
    assert re.search("has no checkpoint yet: train it first", commands.train(tmp_path / "a", *flags).refusal())
    assert not (tmp_path / "a").exists()
