"""A run directory."""

import json

import numpy as np
import pytest

from ml_lstm.episode import Problem
from ml_lstm.errors import UserError
from ml_lstm.runs import RunDirectory, settings, trained_method
from ml_lstm.training import Progress

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
    with pytest.raises(UserError, match="the split differs: restore the data"):
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
    assert capsys.readouterr().out == f"{run.path} has options that this version does not know and ignores: teleport.\n"


def test_a_choice_of_another_version_is_refused_in_words(run):
    with pytest.raises(UserError, match=r"another version of ml_lstm \(method must be one of .*got 'oracle'"):
        rewritten(run, method="oracle").values()


def test_a_run_goes_on_whether_inner_steps_are_recomputed_or_not(run):
    assert run.exists(bound(recompute_inner_steps=True))


def test_a_schedule_binds_a_run_to_its_length():
    assert "episodes" not in bound(episodes=30)
    assert bound(learning_rate_schedule="cosine", episodes=30)["episodes"] == 30


def test_what_a_start_left_that_was_killed_does_not_keep_a_run_from_there(tmp_path):
    (tmp_path / ".flags.json.123").write_text('{"fla')
    run = RunDirectory(tmp_path)
    run.lock().release()
    assert not run.exists(bound())
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="in use and is not a run"):
        run.exists(bound())


# What a stranger, another version or a broken disk may write in place of any value.
_ODD = (None, True, -1, 0, 1.5, 1e300, float("nan"), float("inf"), 10**30, 10**400, "", "maybe", "\ud800")
_ODD += ([], ["a"], [None], [[1]], {}, {"a": 1}, [0, 0, 0], [16, 16], [10**9, 10**9, 1], [16, 16, 1])


def _places(value, here=()):
    """Ways to every value inside of one."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, found in inside:
        yield (*here, name)
        yield from _places(found, (*here, name))


def _assert_read_or_refused(path):
    try:
        run = RunDirectory(path)
        run.require_classes("its classes")
        problem = run.problem()
        run.bound()
    except UserError as error:
        assert len(str(error).splitlines()) == 1
    else:
        height, width, channels = problem.image_shape
        assert 0 < height * width * channels < 2**30


@pytest.mark.parametrize("odd", _ODD, ids=lambda odd: repr(odd)[:20])
def test_any_damaged_value_is_refused_in_one_line_or_does_no_harm(odd, run, capsys):
    path = run.path / "flags.json"
    whole = path.read_text()
    places = [*_places(json.loads(whole)), ("flags", "teleport"), ("images", "teleport"), ("teleport",)]
    for *way, name in places:
        contents = inside = json.loads(whole)
        for step in way:
            inside = inside[step]
        inside[name] = odd
        path.write_text(json.dumps(contents))
        _assert_read_or_refused(run.path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, '{"flags": [1], "images": {}}', "1e999"])
def test_a_file_that_is_no_record_is_refused_in_one_line(text, run):
    (run.path / "flags.json").write_text(text)
    with pytest.raises(UserError, match=r"flags\.json is damaged: restore it"):
        RunDirectory(run.path).problem()


def test_what_another_version_knows_of_images_is_named(run):
    path = run.path / "flags.json"
    contents = json.loads(path.read_text())
    contents["images"]["depth"] = 3
    path.write_text(json.dumps(contents))
    with pytest.raises(UserError, match=r"made by another version of ml_lstm \(its images have depth\)"):
        RunDirectory(run.path).problem()


@pytest.mark.parametrize("place", ["backup", "best"])
def test_something_in_place_of_checkpoints_is_refused_before_training(place, run):
    directory = getattr(run, place)().directory
    directory.write_text("mine")
    with pytest.raises(UserError, match=r"is not a directory, as in a run: remove it"):
        getattr(run, place)()
    directory.unlink()
    directory.symlink_to("nowhere")
    with pytest.raises(UserError, match=r"is not a directory"):
        getattr(run, place)()


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("name", ["prototypical", "nearest_neighbour"])  # one that is served without a head
def test_a_run_stopped_before_its_first_validation_is_taken_with_its_averages(name, lean, tmp_path):
    values = settings.complete({"method": name, "filters": 2, "average_weights": 0.5})
    run = RunDirectory(tmp_path / "run")
    run.create(settings.bound(values), PROBLEM, "its classes")
    method = settings.build_method(values, PROBLEM)
    method.set_weights([np.zeros_like(value) for value in method.get_weights()])
    averages = settings.make_averages(method, values)
    method.set_weights([np.ones_like(value) for value in method.get_weights()])
    run.backup(model=method, progress=Progress(), averages=averages.state).save(4)
    found, episodes, _ = trained_method(run, lean)
    assert episodes == 4
    moved = {id(weight) for weight in (*found.trainable_weights, *found.kept_averages)}
    assert len(moved) > 10
    for weight in found.weights:
        assert (weight.numpy() == (0 if id(weight) in moved else 1)).all(), weight.path
