"""Tests of the characters that the program draws itself."""

import hashlib

import numpy as np
import pytest

from ml_lstm.data.sources import glyphs


@pytest.fixture(scope="module")
def pools():
    return glyphs.load(28)


def _fingerprint(pools):
    return hashlib.sha256(b"".join(pool.images.tobytes() for pool in pools.values())).hexdigest()


def test_there_are_1100_classes_of_20_drawings_without_rotations(pools):
    assert {part: pool.num_classes for part, pool in pools.items()} == {"train": 800, "val": 100, "test": 200}
    for pool in pools.values():
        assert pool.views is None
        assert pool.images.dtype == np.uint8
        assert pool.image_shape == (28, 28, 1)
        np.testing.assert_array_equal(pool.counts, 20)
        np.testing.assert_array_equal(pool.offsets, 20 * np.arange(len(pool.names)))
        assert len(pool.images) == pool.counts.sum()


def test_no_name_and_no_picture_is_in_two_splits(pools):
    names = [name for pool in pools.values() for name in pool.names]
    assert len(set(names)) == len(names) == 1100
    pictures = [{image.tobytes() for image in pool.images} for pool in pools.values()]
    assert len(set.union(*pictures)) == sum(map(len, pictures))


def test_the_same_seed_gives_the_same_images_and_another_seed_others(pools):
    assert _fingerprint(glyphs.load(28)) == _fingerprint(pools)
    assert _fingerprint(glyphs.load(28, glyphs_seed=1)) != _fingerprint(pools)


def test_default_images_are_those_that_results_were_measured_on(pools):
    # If this fails, every accuracy on glyphs that docs/ reports is of other data: measure them again.
    assert _fingerprint(pools) == "9edb521c67db3aaed5b296bb4f4d3d515d0e710c1de442d07b852e9d0dcab20e"


def test_ink_is_dark_and_thin_on_white_as_in_omniglot(pools):
    images = pools["train"].images
    assert np.median(images) == 255
    assert np.mean(images.min(axis=(1, 2, 3)) < 64) > 0.95
    # Omniglot at 28 x 28 has 0.084 of its area inked.
    assert 0.05 < 1 - images.mean() / 255 < 0.1


def test_no_drawing_is_blank_and_no_two_of_a_class_are_equal(pools):
    images = pools["train"].images.reshape(800, 20, -1)
    assert images.min(axis=-1).max() < 255
    assert all(len(np.unique(drawings, axis=0)) == 20 for drawings in images)


def test_another_size_shows_the_same_drawings(monkeypatch):
    monkeypatch.setattr(glyphs, "CLASSES", {"train": 60})  # fewer, to be quick
    large = glyphs.load(56)["train"].images.astype(np.float64)
    small = glyphs.load(28)["train"].images
    shrunk = large.reshape(-1, 28, 2, 28, 2, 1).mean(axis=(2, 4))
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.95


def test_pixels_alone_tell_five_classes_apart_about_as_badly_as_in_omniglot(pools):
    rng = np.random.default_rng(0)
    ink = 1 - pools["test"].images.reshape(200, 20, -1) / 255
    hits = []
    for _ in range(400):
        classes = rng.choice(200, 5, replace=False)
        support, query = np.moveaxis(ink[classes][:, rng.permutation(20)[:2]], 1, 0)
        nearest = np.square(query[:, np.newaxis] - support).sum(axis=-1).argmin(axis=1)
        hits.append(np.mean(nearest == np.arange(5)))
    assert 0.40 < np.mean(hits) < 0.65  # Omniglot: 0.43


def test_size_without_pixels_is_refused_with_the_value():
    with pytest.raises(ValueError, match="not 0"):
        glyphs.load(0)
