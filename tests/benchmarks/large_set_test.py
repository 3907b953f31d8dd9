"""The benchmark of sets larger than memory runs, and refuses one that is not larger."""

import pytest

from benchmarks import large_set
from benchmarks.meta_step import Setting

TINY = Setting((84, 84, 3), n_way=2, k_shot=1, n_query=1, inner_steps=1, inner_batch_size=2, hidden_units=2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("large") / "pictures"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(large_set, "PER_CLASS", 3)
        large_set.write_pictures(root, images=18)
    return root


def test_the_folder_has_as_many_pictures_as_asked_for(pictures):
    assert len(list(pictures.glob("class_*/*.jpg"))) == 18


@pytest.mark.slow_unless(kind=["fixed"])
@pytest.mark.parametrize("kind", ["fixed", "memory"])
def test_measures_each_kind(kind, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(large_set, "SETTING", TINY)
    results = large_set.measure(kind, str(pictures), str(tmp_path), steps=2)
    assert results["kind"] == kind
    assert results["episodes_per_second"] > 0


def test_a_folder_that_fits_in_memory_shows_nothing(pictures, tmp_path):
    with pytest.raises(ValueError, match="raise --images"):
        large_set.measure("disk", str(pictures), str(tmp_path), steps=1)
