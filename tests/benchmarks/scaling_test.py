"""The scaling benchmark: what it draws and prints of what it measured, and that a point can be measured."""

import pytest
from PIL import Image

from benchmarks import scaling
from benchmarks.timing import measured_apart


def point(**changes):
    episode = {"inner_steps": 5, "filters": 32, "second_order": False, "recompute_inner_steps": False}
    found = {"setting": "b", "meta_batch_size": 1, "coordinates": 28005, "seconds_per_episode": 0.1}
    found["peak_resident_bytes_above_start"] = 3 * 2**30
    return found | {"episode": episode | {name: changes.pop(name) for name in set(changes) & set(episode)}} | changes


def test_a_row_says_what_was_measured_of_a_whole_meta_step():
    text = scaling.row(point(meta_batch_size=4, inner_steps=40, second_order=True, recompute_inner_steps=True))
    assert text.split("  ")[0] == "(b) 40 steps, 32 filters, meta-batch 4, second order, recomputed"
    assert text.split()[-3:] == ["28,005", "0.400", "3,072"]


def test_draws_a_column_for_each_thing_that_grows(tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    sweeps = {
        "inner_steps": [point(inner_steps=5), point(inner_steps=10)],
        "meta_batch_size": [point(), point(meta_batch_size=2)],
    }
    assert [scaling.size_of("inner_steps", each) for each in sweeps["inner_steps"]] == [5, 10]
    assert [scaling.size_of("meta_batch_size", each) for each in sweeps["meta_batch_size"]] == [1, 2]
    sizes = []
    for names in (["inner_steps"], ["inner_steps", "meta_batch_size"]):
        scaling.draw({name: sweeps[name] for name in names}, str(tmp_path / "plot.png"))
        with Image.open(tmp_path / "plot.png") as picture:
            sizes.append(picture.width)
    assert sizes[1] == 2 * sizes[0]


@pytest.mark.slow
def test_measures_a_point_with_the_flags_that_it_names():
    arguments = ["--setting=b", "--inner_steps=1", "--filters=2", "--recompute_inner_steps"]
    found = measured_apart("benchmarks.meta_step", [*arguments, "--repeats=1"])
    assert found["episode"]["inner_steps"] == 1 and found["episode"]["recompute_inner_steps"]
    assert found["coordinates"] == 20 + 4 + 3 * (38 + 4) + 15  # layers with their batch norm, and the head
    assert scaling.size_of("coordinates", found) == found["coordinates"]
