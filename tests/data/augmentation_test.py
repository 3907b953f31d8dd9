"""Augmentation of meta-training pictures."""

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.data import ClassPool, EpisodeSampler, augmentation
from ml_lstm.data.augmentation import random_affine, random_photo


def blob(size=33):
    """White, with a dark disc in the middle."""
    y, x = np.mgrid[:size, :size] - size // 2
    return np.where(x**2 + y**2 < 36, 0, 255).astype("uint8")[..., None]


def test_pictures_change_each_in_its_own_small_way():
    images = tf.constant(np.stack([blob()] * 40))
    changed = random_affine(images, tf.constant([1, 2])).numpy()
    assert changed.shape == images.shape and changed.dtype == np.uint8
    assert len({picture.tobytes() for picture in changed}) == 40
    y, x = np.mgrid[:33, :33] - 16
    ink = 255.0 - changed[..., 0]
    mass = ink.sum((1, 2))
    centres = np.stack([(ink * axis).sum((1, 2)) / mass for axis in (x, y)])
    # Shifts of up to 8 % of 33 pixels, taken through a stretch of up to 1 / 0.85 and the turn and shear.
    assert 1.5 < np.abs(centres).max() < 4
    areas = mass / (255.0 - blob()).sum()
    assert 0.7 < areas.min() < 0.95 and 1.05 < areas.max() < 1.45
    assert (changed[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()  # the border is repeated


def test_the_same_seed_gives_the_same_pictures():
    images = tf.constant(np.stack([blob()] * 3))
    first, again, other = (random_affine(images, tf.constant([1, seed])).numpy() for seed in (2, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_sampler_augments_the_same_episode_and_stays_a_function_of_its_index():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 16, 16, 1)).astype("uint8")
    pool = ClassPool.from_classes({str(k): pictures for k, pictures in enumerate(images)})
    plain = EpisodeSampler(pool, 3, 1, 2).sample(4)
    augmented = EpisodeSampler(pool, 3, 1, 2, augment="affine")
    episode, again = augmented.sample(4), next(iter(augmented.dataset(start=4)))
    np.testing.assert_array_equal(episode.query_images, again.query_images)
    difference = np.abs(np.asarray(episode.support_images, float) - np.asarray(plain.support_images, float))
    assert difference.max() > 50


def gradient_picture(size=40):
    """Red grows from left to right, green from top to bottom; both tell where a pixel was."""
    ramp = np.linspace(60, 120, size)
    picture = np.stack([np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.full((size, size), 90.0)], -1)
    return picture.astype("uint8")


@pytest.fixture
def no_jitter(monkeypatch):
    monkeypatch.setattr(augmentation, "_JITTER", 0.0)


@pytest.mark.usefixtures("no_jitter")
def test_a_photograph_is_cut_and_mirrored_within_the_bounds():
    images = tf.constant(np.stack([gradient_picture()] * 300))
    cut = random_photo(images, tf.constant([1, 2])).numpy().astype(float)
    assert cut.shape == images.shape
    across, down = ((cut[:, 20, -1, 0] - cut[:, 20, 0, 0]) / 60, (cut[:, -1, 20, 1] - cut[:, 0, 20, 1]) / 60)
    assert 120 < (across < 0).sum() < 180  # mirrored
    assert (down > 0).all()
    width, height = np.abs(across), down
    area, aspect = width * height, width / height
    assert 0.45 < area.min() < 0.55 and 0.9 < area.max() < 1.02
    assert 0.7 < aspect.min() < 0.8 and 1.25 < aspect.max() < 1.4
    # A part begins anywhere within the whole.
    start = (np.minimum(cut[:, 20, 0, 0], cut[:, 20, -1, 0]) - 60) / 60
    assert start.min() < 0.03 and 0.2 < start.max() < 0.5


def test_brightness_contrast_and_saturation_change_by_up_to_two_fifths(monkeypatch):
    monkeypatch.setattr(augmentation, "_LEAST_AREA", 1.0)
    monkeypatch.setattr(augmentation, "_LOG_ASPECT", 0.0)
    picture = np.full((8, 8, 3), 100, np.uint8)
    picture[:, :4] = (120, 100, 60)
    changed = random_photo(tf.constant(np.stack([picture] * 300)), tf.constant([3, 4])).numpy().astype(float)
    brightness = changed.mean((1, 2, 3)) / picture.mean()
    assert 0.55 < brightness.min() < 0.65 and 1.35 < brightness.max() < 1.45
    rows = np.sort(changed[:, 0], axis=1)
    colour = (rows.max(1) - rows.min(1))[:, 2] / brightness / 40  # the blue of both halves, by contrast and saturation
    assert 0.3 < colour.min() < 0.6 and 1.4 < colour.max() < 2.0


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_by_one_after_another(channels, monkeypatch):
    """Brightness, saturation, contrast, each written out."""
    monkeypatch.setattr(augmentation, "_LEAST_AREA", 1.0)
    monkeypatch.setattr(augmentation, "_LOG_ASPECT", 0.0)
    images = np.random.default_rng(0).integers(60, 160, (50, 9, 9, channels)).astype("uint8")
    found = random_photo(tf.constant(images), tf.constant([1, 2])).numpy().astype(float)
    parts = tf.random.stateless_uniform([8, 50], [1, 2]).numpy()
    for number, picture in enumerate(images.astype(float)):
        if parts[4, number] < 0.5:
            picture = picture[:, ::-1]
        brightness, contrast, saturation = 1 + 0.4 * (2 * parts[5:, number] - 1)
        picture = picture * brightness
        grey = picture @ [0.299, 0.587, 0.114] if channels == 3 else picture[..., 0]
        picture = grey[..., None] + saturation * (picture - grey[..., None])
        picture = picture.mean() + contrast * (picture - picture.mean())
        np.testing.assert_allclose(found[number], np.clip(picture, 0, 255), atol=0.6)


def test_grey_photographs_keep_their_one_channel():
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (4, 20, 24, 1)).astype("uint8"))
    changed = random_photo(images, tf.constant([1, 2]))
    assert changed.shape == images.shape and changed.dtype == tf.uint8
    assert not np.array_equal(changed, images)


def test_the_same_seed_gives_the_same_photographs():
    images = tf.constant(np.stack([gradient_picture()] * 3))
    first, again, other = (random_photo(images, tf.constant([1, seed])).numpy() for seed in (2, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
