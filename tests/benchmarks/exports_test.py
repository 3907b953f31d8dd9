"""The benchmark of exports: that it tells one from another by what they are."""

import pytest

from benchmarks import exports
from ml_lstm.episode import Problem
from ml_lstm.learners import conv4, embedding
from ml_lstm.methods import MAML, PrototypicalNetworks


@pytest.mark.slow
def test_measures_what_is_served():
    shape = (16, 16, 1)
    setting = {"image_shape": shape, "n_way": 3, "k_shot": 1, "n_query": 4, "repeats": 2}
    steps = exports.measure(MAML(conv4(shape, 3, filters=4), Problem(shape, 3), inner_steps=2), **setting)
    distances = exports.measure(
        PrototypicalNetworks(embedding(conv4(shape, 3, filters=4)), Problem(shape, 3)), **setting
    )
    # 3x3 convolutions to four filters, four numbers of each in batch norm besides its count; the head has five a class.
    assert steps["numbers"] == (9 * 1 + 1) * 4 + 3 * (9 * 4 + 1) * 4 + 4 * (4 * 4 + 1) + 3 * 5
    assert (steps["most_classes"], distances["most_classes"]) == (3, None)
    # A network each time against a prototype for each class.
    assert steps["adaptation_bytes"] > 4 * steps["numbers"] * 0.8 > 5 * distances["adaptation_bytes"] > 0
    assert steps["export_bytes"] > 4 * steps["numbers"]
    assert steps["adapt_seconds"] > distances["adapt_seconds"] > 0
    for result in (steps, distances):
        assert result["predict_one_seconds"] > 0
        assert result["predict_all_seconds"] > 0
