"""Whatever the pixels are, a method can be made for them, and what tells nothing apart is named."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.data import ClassPool, FewShotData, stored
from ml_lstm.data.check import Setting, constant_channels, problems
from ml_lstm.data.load import LEAST_STD
from ml_lstm.methods import PixelNearestNeighbour

RANDOM = np.random.default_rng(0)
SHAPE = (40, 16, 16, 3)


def noise(channels=3):
    return RANDOM.integers(0, 256, (*SHAPE[:3], channels)).astype(np.uint8)


def only(channel, value=0):
    """Pictures of one channel, as a microscope makes that sees one colour; the others have one value."""
    images = np.full(SHAPE, value, np.uint8)
    images[..., channel] = noise(1)[..., 0]
    return images


def one_pixel():
    images = only(1)
    images[0, 0, 0, 0] = 255
    return images


PIXELS = {
    "coloured": (noise(), []),
    "grey": (noise(1), []),
    "green alone": (only(1), ["red", "blue"]),
    "one pixel is red": (one_pixel(), ["blue"]),
    "black": (np.zeros(SHAPE, np.uint8), ["red", "green", "blue"]),
    "one grey": (np.full((*SHAPE[:3], 1), 77, np.uint8), ["grey"]),
}
# Rounding leaves the variance of some of them below zero.
PIXELS |= {f"blue alone on {value}": (only(2, value), ["red", "green"]) for value in (1, 77, 100, 254, 255)}


@pytest.fixture(params=["in memory", "on disk"])
def pools(request, tmp_path):
    """Makes three splits of two classes with the same images."""

    def made(images):
        halves = {0: images[:20], 1: images[20:]}
        if request.param == "on disk":
            labelled = [(label, image) for label, part in halves.items() for image in part]
            kept = stored.stored(tmp_path / "images", {"train": labelled}, images.shape[1:])
            halves = {label: kept.images("train", label) for label in halves}
        classes = {f"class {label}": part for label, part in halves.items()}
        return {split: ClassPool.from_classes(classes) for split in ("train", "val", "test")}

    return made


@pytest.mark.parametrize("name", PIXELS)
def test_a_method_can_be_made_of_any_pixels(name, pools):
    images, constant = PIXELS[name]
    data = FewShotData(pools(images), n_way=2, k_shot=1, n_query=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem = data.problem
    assert np.isfinite(problem.image_mean).all()
    assert np.min(problem.image_std) >= LEAST_STD
    method = PixelNearestNeighbour(problem)
    assert np.isfinite(method.normalize(tf.constant(images))).all()
    assert constant_channels(data.pools["train"]) == constant
    blank = [
        words for words in problems(data.pools, {split: Setting(2, 1, 2) for split in data.pools}) if "All" in words
    ]
    assert len(blank) == (3 if len(constant) == images.shape[-1] else 0)


def test_a_channel_that_varies_keeps_its_standard_deviation(pools):
    images, _ = PIXELS["green alone"]
    statistics = FewShotData(pools(images)).image_statistics()
    assert statistics["image_std"][1] == pytest.approx(images[..., 1].std() / 255, abs=1e-4)
