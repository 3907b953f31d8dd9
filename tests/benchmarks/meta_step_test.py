"""Tests of the meta-step benchmark: what its floor counts, and that it runs."""

import pytest

from benchmarks import meta_step
from ml_lstm import learners


def test_multiply_adds_of_conv4_on_84x84x3():
    # Output places x 3x3 kernel x channels in x channels out; max-pooling halves and rounds down.
    expected = (
        84 * 84 * 9 * 3 * 32  # 6,096,384
        + 42 * 42 * 9 * 32 * 32  # 16,257,024
        + 21 * 21 * 9 * 32 * 32  # 4,064,256
        + 10 * 10 * 9 * 32 * 32  # 921,600
        + 5 * 5 * 32 * 5  # 4,000, the head
    )
    learner = learners.conv4((84, 84, 3), n_way=5)
    assert meta_step.forward_multiply_adds(learner) == expected == 27_343_264
    # 8 steps of 25 images and 5 x 15 queries, forward once and back twice.
    assert meta_step.learner_multiply_adds(meta_step.SETTINGS["a"], learner) == 3 * (200 + 75) * expected


def test_lstm_traffic_of_three_coordinates():
    # H = 2. Forward: x 4, h and c 4, new h and c 4, gates 8. Backward: x 4, h and c 4, gates 8, d_h and d_c 4 + 4.
    assert meta_step.lstm_traffic_bytes(coordinates=3, hidden_units=2, inner_steps=5) == 4 * 3 * (20 + 24) * 5
    assert meta_step.lstm_traffic_bytes(coordinates=3, hidden_units=0, inner_steps=5) == 0


@pytest.mark.slow
def test_measures_a_tiny_setting():
    setting = meta_step.Setting(
        (16, 16, 1), n_way=2, k_shot=1, n_query=1, inner_steps=1, inner_batch_size=2, hidden_units=2
    )
    results = meta_step.measure(setting, repeats=2, meta_batch_size=2)
    assert 0 < results["seconds_per_episode_min"] <= results["seconds_per_episode"]
    assert results["seconds_per_episode"] <= results["seconds_per_episode_max"]
    # 16x16x1 and 2 classes: 320 + 64 + 3 x (9,248 + 64) + 66 = 28,386 coordinates of 18 x 2 + 2 x 4 numbers.
    assert results["lstm_traffic_bytes"] == 4 * 28_386 * 44
    assert results["ratio_to_floor"] > 1 > results["matrix_rate_share"] > 0
