"""Pools of classes: views and channels."""

import numpy as np
import pytest
from PIL import Image

from ml_lstm.data import ClassPool, DataError
from ml_lstm.data.pools import joined, quarter_turns

RANDOM = np.random.default_rng(0)


def pool(channels, count=1100):
    images = RANDOM.integers(0, 256, (count, 3, 3, channels)).astype(np.uint8)
    return ClassPool.from_classes({"a": images[:1], "b": images[1:]})


def test_colours_become_grey_as_pillow_has_it():
    coloured = pool(3)
    grey = coloured.with_channels(1)
    assert grey.images.shape == (1100, 3, 3, 1)
    for number in (0, 1, 1023, 1024, 1099):
        expected = np.asarray(Image.fromarray(coloured.images[number]).convert("L"), int)
        assert np.abs(grey.images[number, ..., 0].astype(int) - expected).max() <= 1  # it has whole-number weights
    np.testing.assert_array_equal(grey.counts, coloured.counts)


def test_grey_is_repeated_and_comes_back_the_same():
    grey = pool(1, 7)
    coloured = grey.with_channels(3)
    np.testing.assert_array_equal(coloured.images, np.concatenate([grey.images] * 3, axis=-1))
    np.testing.assert_array_equal(coloured.with_channels(1).images, grey.images)
    assert grey.with_channels(1) is grey


def test_inverted_is_dark_for_light():
    pictures = pool(3, 7)
    inverted = pictures.inverted()
    assert inverted.images.dtype == np.uint8
    np.testing.assert_array_equal(inverted.images.astype(int) + pictures.images, 255)
    np.testing.assert_array_equal(inverted.counts, pictures.counts)


def test_some_classes_keep_their_images_and_no_others():
    images = RANDOM.integers(0, 256, (15, 3, 3, 1)).astype(np.uint8)
    starts = [0, 1, 3, 6, 10, 15]
    whole = ClassPool.from_classes(
        {name: images[start:end] for name, start, end in zip("abcde", starts, starts[1:], strict=False)},
        quarter_turns(3),
    )._replace(alphabets=tuple("ABCDE"))
    some = whole.some(3, seed=1)
    assert (len(some.names), some.num_classes, len(some.images)) == (3, 12, some.counts.sum())
    for name, start, count in zip(some.names, some.offsets, some.counts, strict=True):
        of_whole = "abcde".index(name)
        expected = images[starts[of_whole] : starts[of_whole + 1]]
        np.testing.assert_array_equal(some.images[start : start + count], expected)
    assert some.alphabets == tuple(name.upper() for name in some.names)
    assert {*whole.some(2, seed=1).names} < {*some.names}
    assert len({whole.some(2, seed).names for seed in range(20)}) > 3
    assert whole.some(5, seed=0) is whole


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="3 channels cannot be converted to 4"):
        pool(3, 7).with_channels(4)


def test_quarter_turns_are_those_of_numpy():
    picture = np.arange(9).reshape(3, 3)
    for turns, view in enumerate(quarter_turns(3)):
        np.testing.assert_array_equal(picture.ravel()[view].reshape(3, 3), np.rot90(picture, turns))


def test_pools_are_joined_class_by_class_without_their_views():
    first, second = pool(1, 5)._replace(views=quarter_turns(3)), pool(1, 4)._replace(names=("c", "d"))
    both = joined([first, second])
    assert (both.names, both.views) == (("a", "b", "c", "d"), None)
    assert both.counts.tolist() == [1, 4, 1, 3]
    for one, start in ((first, 0), (second, 2)):
        for number, (offset, count) in enumerate(zip(one.offsets, one.counts, strict=True)):
            begin = both.offsets[start + number]
            np.testing.assert_array_equal(both.images[begin : begin + count], one.images[offset : offset + count])


def test_pools_of_the_same_classes_are_not_joined():
    with pytest.raises(DataError, match="share the class 'a'"):
        joined([pool(1, 5), pool(1, 4)])


def test_alphabets_are_joined_where_all_are_known():
    known = pool(1, 5)._replace(alphabets=("A", "A"))
    other = pool(1, 4)._replace(names=("c", "d"))
    assert joined([known, other._replace(alphabets=("A", "B"))]).alphabets == ("A", "A", "A", "B")
    assert joined([known, other]).alphabets is None
