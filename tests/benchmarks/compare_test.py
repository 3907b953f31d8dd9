"""The comparison with PyTorch runs."""

import pytest

from benchmarks.meta_step import SETTINGS, Setting

pytest.importorskip("torch", reason="the benchmarks' PyTorch is not installed: make .venv/bench")
from benchmarks import compare

TINY = Setting((16, 16, 1), n_way=2, k_shot=1, n_query=1, inner_steps=2, inner_batch_size=2, hidden_units=2)


@pytest.mark.slow
def test_measures_a_tiny_setting(monkeypatch):
    monkeypatch.setenv("CXX", "no-compiler")  # torch.compile has a test of its own
    results = {}
    for method in compare.METHODS:
        results |= compare.measure(TINY, method, repeats=1)
    for what in ("train", "test"):
        ours, theirs = (results[f"{what}_seconds_{name}"] for name in ("ours", "pytorch"))
        assert results[f"{what}_ratio_pytorch"] == theirs / ours > 0
    assert results["predict_ratio_keras"] > 0
    assert not [name for name in results if "compiled" in name]
    head, *rows = compare.table({"tiny": results}).splitlines()
    assert len(rows) == 7 and all(len(row) <= len(head) for row in rows)
    for row, method in zip(rows[2:6], ("maml", "maml", "prototypical", "prototypical"), strict=True):
        what = "train" if "train" in row else "test"
        ours, theirs = (results[f"{method}_{what}_seconds_{name}"] for name in ("ours", "pytorch"))
        assert f"{theirs / ours:.2f}" in row
    assert f"{results['train_ratio_floor']:.2f}" in rows[0] and f"{results['test_ratio_pytorch']:.2f}" in rows[1]


def test_calls_take_turns_and_the_first_turn_does_not_count():
    made = []
    found = compare.in_turn({"a": lambda: made.append("a"), "b": lambda: made.append("b")}, repeats=4)
    assert "".join(made) == "aaabbb" * 3
    assert set(found) == {"a", "b"}


def test_threads_are_those_that_training_has():
    b = SETTINGS["b"]
    assert {name: compare.work(b, name).threads() for name in compare.METHODS} == {
        "meta_lstm": 1,
        "maml": 1,
        "prototypical": 0,
    }
