"""The benchmark of the sampler runs, on images of any source."""

import pytest

from benchmarks import sampling
from benchmarks.meta_step import Setting

TINY = Setting((16, 16, 3), n_way=2, k_shot=1, n_query=1, inner_steps=1, inner_batch_size=2, hidden_units=2)


def test_grey_images_are_shown_in_the_colours_of_the_setting():
    source = sampling.few_shot_data(TINY, "glyphs", "photo")
    episode = source.sampler("train").sample(3)
    assert episode.query_images.shape == (2, 16, 16, 3)


@pytest.mark.slow
def test_measures_a_tiny_setting():
    source = sampling.few_shot_data(TINY, "glyphs", "photo")
    results = sampling.measure(TINY, source, turns=2, meta_batch_size=2)
    low, high = results["ratio_quartiles"]
    assert 0 < low <= results["ratio"] <= high
    assert results["episodes_per_second_fixed"] > 0
