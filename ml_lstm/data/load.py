"""Loads a data set by name and gives its episodes."""

from typing import Annotated

import numpy as np
import tensorflow as tf

from ml_lstm import options
from ml_lstm.data import cache
from ml_lstm.data.augmentation import AUGMENTATIONS
from ml_lstm.data.batches import BatchSampler
from ml_lstm.data.episodes import EpisodeSampler
from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool, joined
from ml_lstm.data.sources import SOURCES
from ml_lstm.episode import Problem
from ml_lstm.options import Count, Whole

SPLITS = ("train", "val", "test")

LEAST_STD = 0.0039
"""Lower limit of a channel's standard deviation, for pixels in [0, 1]: one of 255 grey levels.

A channel that varies less, or not at all, is not amplified further.
"""

_BEYOND_SEEDS = 2**32
"""The first number above the seeds of meta-training."""


class FewShotData(options.Configured):
    """The three disjoint sets of classes of a data set, and the episodes sampled from them.

    Args:
        pools: a `ClassPool` for each of `SPLITS`; or a single one, `"all"`, to test on.
        test_episodes: length of `test`.
        n_way: number of classes in an episode.
        k_shot: support images per class.
        n_query: query images per class.
        train_n_way: number of classes in a meta-training episode; 0 means `n_way`. With more classes than in the test,
            episodes are harder and training is faster (Snell et al. 2017).
        train_k_shot: support images per class in a meta-training episode; 0 means `k_shot`.
        train_n_query: query images per class in a meta-training episode; 0 means `n_query`. Fewer images are faster.
        within_alphabets: whether the classes of an episode are from one alphabet, sampled among the alphabets that have
            enough classes, as in the one-shot classification of Lake et al. (2015). A rotated alphabet counts as
            another alphabet.
        max_train_classes: maximum number of classes to meta-train on, sampled with `seed`; rotated copies are not
            counted. 0 means all.
        augment: augmentation of meta-training images. affine: small rotations, stretches, shears and shifts, for
            drawings; photo: crops, mirror images and other colours.
        validation_episodes: number of episodes in a meta-validation.
        seed: determines initial weights and meta-training episodes. Validation and test episodes are the same for every
            seed.

    Raises:
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        pools: dict[str, ClassPool],
        test_episodes: int = 600,
        *,
        n_way: Annotated[int, options.at_least(2)] = 5,
        k_shot: Count = 1,
        n_query: Count = 15,
        train_n_way: Annotated[int, options.Rule(lambda number: number == 0 or number >= 2, "0, or at least 2")] = 0,
        train_k_shot: Whole = 0,
        train_n_query: Whole = 0,
        within_alphabets: bool = False,
        max_train_classes: Whole = 0,
        augment: Annotated[str, options.one_of(AUGMENTATIONS)] = "none",
        validation_episodes: Count = 100,
        seed: Annotated[int, options.between(0, _BEYOND_SEEDS - 1)] = 0,
    ):
        self.pools = dict(pools)
        if max_train_classes and "train" in pools:
            self.pools["train"] = pools["train"].some(max_train_classes, seed)
        self._setting = n_way, k_shot, n_query
        self._ways = dict.fromkeys(pools, n_way) | {"train": train_n_way or n_way}
        self._shots = dict.fromkeys(pools, k_shot) | {"train": train_k_shot or k_shot}
        self._queries = dict.fromkeys(pools, n_query) | {"train": train_n_query or n_query}
        self._within_alphabets = within_alphabets
        self._augment = augment
        self._seed = seed
        self._samplers: dict[str, EpisodeSampler] = {}
        self._of_train_classes: EpisodeSampler | None = None
        self._validation_episodes = validation_episodes
        self._test_episodes = test_episodes

    def __repr__(self):
        counts = ", ".join(f"{pool.num_classes} {split}" for split, pool in self.pools.items())
        way, shot, query = self.setting(list(self.pools)[-1])
        shape = "x".join(map(str, self.image_shape))
        return f"FewShotData({counts} classes of {shape}; {way}-way {shot}-shot, {query} queries per class)"

    def setting(self, split: str) -> tuple[int, int, int]:
        """Number of classes, support images per class and query images per class in an episode of a split."""
        return self._ways[split], self._shots[split], self._queries[split]

    def sampler(self, split: str) -> EpisodeSampler:
        """The sampler of a split's episodes.

        Raises:
            DataError: if the split is too small for the setting.
        """
        if split not in self._samplers:
            training = split == "train"
            self._samplers[split] = EpisodeSampler(
                self.pools[split],
                *self.setting(split),
                seed=self._seed if training else 0,
                name=f"The {split} split",
                augment=self._augment if training else "none",
                within_alphabets=self._within_alphabets,
            )
        return self._samplers[split]

    def evaluation_sampler(self, split: str) -> EpisodeSampler:
        """The sampler of a split's evaluation episodes.

        They have `n_way`, `k_shot` and `n_query` for every split, no augmentation, and are the same for every seed.
        Those of `train` are never meta-training episodes of any seed.

        Raises:
            DataError: if the split is too small for the setting.
        """
        if split != "train":
            return self.sampler(split)
        if self._of_train_classes is None:
            self._of_train_classes = EpisodeSampler(
                self.pools["train"], *self._setting, seed=_BEYOND_SEEDS, name="The train split"
            )
        return self._of_train_classes

    def batches(self, batch_size: int) -> BatchSampler:
        """The sampler of batches of images of all meta-train classes.

        Args:
            batch_size: images in a batch.
        """
        return BatchSampler(self.pools["train"], batch_size, self._seed, self._augment)

    @property
    def train(self) -> tf.data.Dataset:
        """Meta-training episodes, an infinite data set."""
        return self.sampler("train").dataset()

    @property
    def train_classes(self) -> int:
        """Number of meta-train classes."""
        return self.pools["train"].num_classes

    @property
    def validation(self) -> tf.data.Dataset:
        """Meta-validation episodes, always the same."""
        return self.sampler("val").dataset(count=self._validation_episodes)

    @property
    def train_classes_validation(self) -> tf.data.Dataset:
        """As many episodes as `validation`, always the same, sampled from meta-train classes."""
        return self.evaluation_sampler("train").dataset(count=self._validation_episodes)

    @property
    def test(self) -> tf.data.Dataset:
        """Meta-test episodes, always the same."""
        return self.sampler("test").dataset(count=self._test_episodes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return next(iter(self.pools.values())).image_shape

    @property
    def problem(self) -> Problem:
        """The description of these data that a method needs."""
        n_way = max(self._ways.values())
        return Problem(self.image_shape, n_way, self.train_classes, **self.image_statistics())

    def require_channels(self, channels: int) -> None:
        """Converts colour images to grey, or grey images to three channels; see `ClassPool.with_channels`."""
        self.pools = {split: pool.with_channels(channels) for split, pool in self.pools.items()}
        self._samplers, self._of_train_classes = {}, None

    def class_digest(self) -> str:
        """A hash of the class names and their splits."""
        return cache.digest([(split, pool.names) for split, pool in sorted(self.pools.items())])

    def image_statistics(self) -> dict[str, list[float]]:
        """`image_mean` and `image_std` of meta-training pixels in [0, 1], one per channel, for a method.

        `image_std` is at least `LEAST_STD`: some microscopes leave a channel black.
        """
        images = self.pools["train"].images
        pixels = images[:: max(1, len(images) // 2000)].reshape(-1, self.image_shape[-1])
        # Computed from counts, because all pixels in floating point would take far more memory than the images.
        counts = np.stack([np.bincount(channel, minlength=256) for channel in pixels.T]) / len(pixels)
        values = np.arange(256) / 255
        mean = counts @ values
        # Rounding can leave the variance of a constant channel below 0.
        std = np.maximum(np.sqrt(np.maximum(counts @ values**2 - mean**2, 0)), LEAST_STD)
        return {
            "image_mean": [round(float(value), 4) for value in mean],
            "image_std": [round(float(value), 4) for value in std],
        }


def load(
    dataset: str,
    test_episodes: int = 600,
    all_classes: bool = False,
    *,
    image_size: Annotated[int, options.at_least(16)] = 28,
    **chosen,
) -> FewShotData:
    """Loads a data set by name.

    Args:
        dataset: one of `SOURCES`.
        test_episodes: length of `FewShotData.test`.
        all_classes: whether all classes form one pool, `"all"`, instead of three.
        image_size: height and width of images, pixels. If unset with a pretrained learner: the size of its images.
        **chosen: options of the data set's loader (for example `data_dir`) and of `FewShotData` (`n_way`, `k_shot`,
            ...).

    Raises:
        DataError: if the data set is unknown, its data are missing or broken, or a split is too small.
        ValueError: if the data set does not have an option, or an option is out of range.
    """
    if dataset not in SOURCES:
        raise DataError(f"dataset {dataset!r} is unknown: use one of {', '.join(sorted(SOURCES))}.")
    options.check(load, {"image_size": image_size})
    of_all = SOURCES[dataset].load_all if all_classes else None
    source = of_all or SOURCES[dataset].load
    unknown = [name for name in chosen if name not in options.names_of([source, FewShotData])]
    if unknown:
        known = ", ".join(sorted(options.names_of([source, FewShotData])))
        raise ValueError(f"dataset {dataset!r} has no option {unknown[0]}: use one of image_size, {known}.")
    setting = options.pick(FewShotData, chosen)
    options.check(FewShotData, setting)
    pools = source(image_size, **options.pick(source, chosen))
    if all_classes and not of_all:
        pools = {"all": joined(list(pools.values()))}
    return FewShotData(pools, test_episodes, **setting)
