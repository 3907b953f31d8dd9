"""Results of a run: none takes the place of another, and older ones are still read."""

import json

import pytest

from ml_lstm.errors import UserError
from ml_lstm.runs import evaluations

RECORD = {
    "accuracy": 0.5,
    "confidence_interval_95": 0.1,
    "episodes": 600,
    "dataset": "folder",
    "data_dir": "/data/birds",
    "split": "test",
    "n_way": 5,
    "k_shot": 1,
    "n_query": 15,
    "within_alphabets": False,
    "transductive_batch_norm": False,
    "train_episodes": 1000,
    "evaluate_seconds": 3.0,
    "commit": "abc",
}
OTHER = {
    "episodes": 40,
    "dataset": "glyphs",
    "data_dir": "/other/birds",
    "split": "val",
    "n_way": 6,
    "k_shot": 2,
    "n_query": 14,
    "within_alphabets": True,
    "transductive_batch_norm": True,
    "train_episodes": 2000,
    "accuracy": 0.6,
    "inner_steps": 7,
    "instance_accuracies": [0.1],
    "new_base_filters": 8,
}
OF_LATER_VERSIONS = ("data_dir", "within_alphabets", "transductive_batch_norm")
IN_NAMES = set(OTHER) - {"train_episodes", "accuracy"}


@pytest.mark.parametrize("name", OTHER)
def test_a_result_never_replaces_another(name, tmp_path):
    first = evaluations.write(tmp_path, RECORD)
    second = evaluations.write(tmp_path, RECORD | {name: OTHER[name]})
    assert json.loads(first.read_text()) == RECORD
    assert json.loads(second.read_text()) == RECORD | {name: OTHER[name]}
    appended = OTHER[name] in (True, [0.1]) or name in ("inner_steps", "new_base_filters")
    assert second.stem.startswith(first.stem + "-") == (name not in IN_NAMES or appended)


def test_the_name_says_what_of(tmp_path):
    name = evaluations.write(tmp_path, RECORD).name
    assert name.startswith("evaluate-folder-birds-")
    assert name.endswith("-test-5way-1shot-15query-600episodes.json")
    name = evaluations.write(tmp_path, RECORD | {"data_dir": None, "transductive_batch_norm": True}).name
    assert name == "evaluate-folder-test-5way-1shot-15query-600episodes-transductive.json"
    name = evaluations.write(tmp_path, RECORD | {"data_dir": None, "inner_steps": 7}).name
    assert name == "evaluate-folder-test-5way-1shot-15query-600episodes-7steps.json"


def test_the_same_again_is_one_file(tmp_path):
    first = evaluations.write(tmp_path, RECORD)
    assert evaluations.write(tmp_path, RECORD | {"evaluate_seconds": 4.0, "commit": "abd"}) == first
    assert json.loads(first.read_text())["commit"] == "abd"


@pytest.mark.parametrize("place", ["/a b/'c'", "/ü/\udcff", "/" + "x" * 255, "/"])
def test_any_directory_makes_a_name(place, tmp_path):
    record = RECORD | {"data_dir": place}
    assert evaluations.write(tmp_path, record).name.isascii()
    assert evaluations.read(tmp_path)[0]["data_dir"] == place


def test_results_of_older_versions_are_read(tmp_path):
    older = {name: value for name, value in RECORD.items() if name not in OF_LATER_VERSIONS}
    (tmp_path / "evaluate-folder-test-5way-1shot.json").write_text(json.dumps(older))
    (found,) = evaluations.read(tmp_path)
    assert (found["accuracy"], found["data_dir"], found["train_episodes"]) == (0.5, None, 1000)


@pytest.mark.parametrize(
    "contents",
    ["", "[]", "{}", "null", '{"accuracy": 1}', "[" * 100_000, json.dumps(RECORD | {"accuracy": "x"})]
    + [json.dumps(RECORD | {name: float("nan")}) for name in ("accuracy", "episodes")]
    + [json.dumps({name: value for name, value in RECORD.items() if name != "split"}), b"\xff\xfe"],
)
def test_a_damaged_result_is_named_and_not_replaced(contents, tmp_path):
    taken = evaluations.write(tmp_path, RECORD)
    contents = contents if isinstance(contents, bytes) else contents.encode()
    taken.write_bytes(contents)
    with pytest.raises(UserError, match=r"episodes\.json is not a result of evaluate, or damaged: remove it"):
        evaluations.read(tmp_path)
    assert evaluations.write(tmp_path, RECORD) != taken
    assert taken.read_bytes() == contents
