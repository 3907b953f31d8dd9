"""The comparison of one thread with all cores runs."""

import pytest

from benchmarks import threads
from ml_lstm.command_line import devices


@pytest.mark.slow_unless(method=["prototypical"])
@pytest.mark.parametrize("method", ["meta_lstm", "prototypical"])
def test_measures_a_point_and_says_what_would_be_picked(method, monkeypatch):
    monkeypatch.setattr(devices, "use", lambda **given: None)  # TensorFlow has begun
    points = [threads.measure(method, 16, 1, count, repeats=1) for count in (1, 0)]
    assert all(point["seconds_per_episode"] > 0 for point in points)
    images = {"meta_lstm": 5, "prototypical": 80}[method]
    assert {point["picked"] for point in points} == {devices.Work(16, images).threads()}
    head, row = threads.table(points).splitlines()
    assert len(row) <= len(head) and f"{points[0]['seconds_per_episode']:.4f}" in row
