"""Checks of a data set before training."""

import numpy as np
import pytest

from ml_lstm.data import ClassPool
from ml_lstm.data.check import Setting, problems
from ml_lstm.data.pools import quarter_turns

RANDOM = np.random.default_rng(0)


def pictures(count):
    return RANDOM.integers(0, 256, (count, 4, 4, 1)).astype(np.uint8)


@pytest.fixture
def pools():
    return {
        split: ClassPool.from_classes({f"{split} {number}": pictures(6) for number in range(3)})
        for split in ("train", "val", "test")
    }


def found(pools, **settings):
    return list(problems(pools, {split: settings.get(split, Setting(3, 1, 5)) for split in pools}))


def test_nothing_is_said_of_data_that_are_as_they_should_be(pools):
    assert not found(pools)


def test_classes_too_few_or_too_small_are_named_for_the_setting_of_their_split(pools):
    pools["val"] = ClassPool.from_classes({f"val {number}": pictures(number) for number in range(1, 10)})
    few, small = found(pools, train=Setting(4, 1, 5), val=Setting(3, 2, 5))
    assert few == "train has 3 classes, too few for 4-way episodes."
    assert small.startswith("val has 6 class(es) with fewer than the 2 support + 5 query images")
    assert small.endswith("val 1, val 2, val 3, val 4, val 5 and 1 more.")


def test_a_picture_in_two_splits_is_named_with_its_classes(pools):
    pools["test"].images[7] = pools["train"].images[0]
    pools["test"].images[8] = pools["train"].images[1]
    assert found(pools) == ["2 image(s) of test are also in train, with identical pixels: in 'train 0' and 'test 1'."]


def test_a_picture_twice_in_one_split_is_no_matter(pools):
    pools["test"].images[7] = pools["test"].images[0]
    assert not found(pools)


def test_shuffled_pixels_make_another_picture_and_the_first_view_counts(pools):
    pools["val"] = pools["train"]._replace(views=np.stack([RANDOM.permutation(16)]))
    assert not found(pools)
    pools["val"] = pools["train"]._replace(views=quarter_turns(4))
    assert len(found(pools)) == 1
