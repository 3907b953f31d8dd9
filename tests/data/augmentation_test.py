"""Augmentation of meta-training pictures."""

import numpy as np
import tensorflow as tf

from ml_lstm.data import ClassPool, EpisodeSampler
from ml_lstm.data.augmentation import random_affine


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
