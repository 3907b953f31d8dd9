"""A run directory."""

import json

import pytest

from ml_lstm.errors import UserError
from ml_lstm.runs import RunDirectory


def test_a_run_older_than_a_flag_is_named_when_the_flag_is_asked_for(tmp_path):
    (tmp_path / "flags.json").write_text(json.dumps({"flags": {"n_way": 5}, "images": {}}))
    flags = RunDirectory(tmp_path).flags()
    assert (flags | {"n_way": 3})["n_way"] == 3
    for known in (flags, flags | {"k_shot": 5}):
        with pytest.raises(UserError, match="no flag --train_k_shot: it was made by another version"):
            known["train_k_shot"]


def test_a_run_is_bound_to_the_classes_of_its_data(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create({"n_way": 5}, {}, "its classes")
    run.require_classes("its classes")
    with pytest.raises(UserError, match="split otherwise: restore the data"):
        run.require_classes("other classes")


def test_an_older_run_does_not_know_its_classes(tmp_path):
    (tmp_path / "flags.json").write_text(json.dumps({"flags": {}, "images": {}}))
    RunDirectory(tmp_path).require_classes("any classes")


def test_a_run_older_than_a_choice_made_the_one_there_was(tmp_path):
    (tmp_path / "flags.json").write_text(json.dumps({"flags": {"n_way": 5}, "images": {}}))
    newer = {"mixed_precision": False, "recompute_inner_steps": False}
    assert RunDirectory(tmp_path).exists({"n_way": 5} | newer)
    with pytest.raises(UserError, match="--mixed_precision was False, is True"):
        RunDirectory(tmp_path).exists({"n_way": 5} | newer | {"mixed_precision": True})


def test_a_run_goes_on_whether_inner_steps_are_recomputed_or_not(tmp_path):
    run = RunDirectory(tmp_path / "run")
    flags = {"n_way": 5, "mixed_precision": False, "recompute_inner_steps": False}
    run.create(flags, {}, "its classes")
    assert run.exists(flags | {"recompute_inner_steps": True})
