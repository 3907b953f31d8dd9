"""A run directory."""

import json

import pytest

from ml_lstm.episode import Problem
from ml_lstm.errors import UserError
from ml_lstm.runs import RunDirectory, settings

PROBLEM = Problem((16, 16, 1), 5, 7, [0.5], [0.2])


def bound(**given):
    return settings.bound(settings.complete(given))


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(bound(), PROBLEM, "its classes")
    return run


def rewritten(run, **flags):
    """The same run as another version left it; None stands for an option that it did not have."""
    path = run.path / "flags.json"
    contents = json.loads(path.read_text())
    recorded = contents["flags"] | flags
    path.write_text(
        json.dumps(contents | {"flags": {name: value for name, value in recorded.items() if value is not None}})
    )
    return RunDirectory(run.path)


def test_a_run_is_bound_to_what_concerns_it_and_to_nothing_else(run):
    flags = json.loads((run.path / "flags.json").read_text())["flags"]
    assert (flags["method"], flags["inner_steps"], flags["input_gate_bias"]) == ("meta_lstm", 5, [-5.0, -4.0])
    assert not {"inner_learning_rate", "memory_rows", "data_dir", "devices", "episodes", "strategy"} & flags.keys()
    assert run.exists(bound())
    with pytest.raises(UserError, match=r"--inner_steps was 5, is 3.*another --run_dir"):
        run.exists(bound(inner_steps=3))


def test_a_run_knows_its_problem(run):
    assert run.problem() == PROBLEM


def test_a_run_is_bound_to_the_classes_of_its_data(run):
    run.require_classes("its classes")
    with pytest.raises(UserError, match="split otherwise: restore the data"):
        run.require_classes("other classes")


def test_an_older_run_does_not_know_its_classes(run):
    path = run.path / "flags.json"
    contents = json.loads(path.read_text())
    del contents["classes"]
    path.write_text(json.dumps(contents))
    RunDirectory(run.path).require_classes("any classes")


def test_a_run_older_than_an_option_made_the_choice_there_was(run):
    older = rewritten(run, mixed_precision=None, recompute_inner_steps=None)
    assert older.exists(bound())
    with pytest.raises(UserError, match="--mixed_precision was False, is True"):
        older.exists(bound(mixed_precision=True))


def test_options_that_concern_nothing_chosen_bind_no_run(run):
    """As all runs recorded before what concerned them was known."""
    assert rewritten(run, memory_rows=128, inner_learning_rate=0.4, distance="cosine").exists(bound())


def test_options_of_another_version_are_named_once_and_left_out(run, capsys):
    newer = rewritten(run, teleport=True)
    assert newer.exists(bound())
    newer.values()
    assert (
        capsys.readouterr().out
        == f"{run.path} has options that this version does not know, which are left out: teleport.\n"
    )


def test_a_choice_of_another_version_is_refused_in_words(run):
    with pytest.raises(UserError, match=r"another version of ml_lstm \(method must be one of .*got 'oracle'"):
        rewritten(run, method="oracle").values()


def test_a_run_goes_on_whether_inner_steps_are_recomputed_or_not(run):
    assert run.exists(bound(recompute_inner_steps=True))


def test_a_schedule_binds_a_run_to_its_length():
    assert "episodes" not in bound(episodes=30)
    assert bound(learning_rate_schedule="cosine", episodes=30)["episodes"] == 30
