"""One call from a data set's name to its episodes."""

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
"""Of pixels in [0, 1], one shade of 255: a channel that varies less, or not at all, is not magnified further."""

_BEYOND_SEEDS = 2**32
"""The first number that is no seed of meta-training."""


class FewShotData(options.Configured):
    """The three disjoint sets of classes of a source, and the episodes drawn from them.

    Args:
        pools: a `ClassPool` for each of `SPLITS`; or one, `"all"`, to test on.
        test_episodes: length of `test`.
        n_way: classes in an episode.
        k_shot: support images of each class.
        n_query: query images of each class.
        train_n_way: classes in a meta-training episode; 0: `n_way`. More than in the test make a harder lesson that
            trains faster (Snell et al. 2017).
        train_k_shot: support images of each class in a meta-training episode; 0: `k_shot`.
        train_n_query: query images of each class in a meta-training episode; 0: `n_query`. Fewer are quicker.
        within_alphabets: whether the classes of an episode are of one alphabet, drawn among those that have so many, as
            in the one-shot classification of Lake et al. (2015); quarter turns of an alphabet are others.
        max_train_classes: classes to meta-train on at most, drawn by `seed`, before quarter turns make several of each;
            0: all.
        augment: what is done to meta-training images; affine: small turns, stretches, shears and shifts, for drawings;
            photo: cuts, mirror images and other colours.
        validation_episodes: episodes of a meta-validation.
        seed: decides weights and meta-training episodes; validation and test episodes are the same for every seed.

    Raises:
        ValueError: for an option out of its range.
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
        return f"FewShotData({counts} classes of {shape}; {way}-way {shot}-shot, {query} queries a class)"

    def setting(self, split: str) -> tuple[int, int, int]:
        """Classes, support images and query images a class, of an episode of one of the pools."""
        return self._ways[split], self._shots[split], self._queries[split]

    def sampler(self, split: str) -> EpisodeSampler:
        """Episodes of one of the pools by their index.

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
        """Episodes to evaluate on: of `n_way`, `k_shot` and `n_query` whatever the split, of images as they are.

        They are the same for every seed. Those of `train` are none that any seed trains on.

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
        """Batches of images of all meta-train classes, by their index.

        Args:
            batch_size: images in a batch.
        """
        return BatchSampler(self.pools["train"], batch_size, self._seed, self._augment)

    @property
    def train(self) -> tf.data.Dataset:
        """Meta-training episodes, without end."""
        return self.sampler("train").dataset()

    @property
    def train_classes(self) -> int:
        """How many classes there are to meta-train on."""
        return self.pools["train"].num_classes

    @property
    def validation(self) -> tf.data.Dataset:
        """Meta-validation episodes, always the same."""
        return self.sampler("val").dataset(count=self._validation_episodes)

    @property
    def train_classes_validation(self) -> tf.data.Dataset:
        """As many problems like those of meta-validation, always the same, of meta-train classes."""
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
        """What a method is told of these data."""
        n_way = max(self._ways.values())
        return Problem(self.image_shape, n_way, self.train_classes, **self.image_statistics())

    def require_channels(self, channels: int) -> None:
        """Turns coloured pictures to grey, or repeats grey ones in three channels; see `ClassPool.with_channels`."""
        self.pools = {split: pool.with_channels(channels) for split, pool in self.pools.items()}
        self._samplers, self._of_train_classes = {}, None

    def class_digest(self) -> str:
        """Characters that change with the name of any class, or the split that it is in."""
        return cache.digest([(split, pool.names) for split, pool in sorted(self.pools.items())])

    def image_statistics(self) -> dict[str, list[float]]:
        """`image_mean` and `image_std` of meta-training pixels in [0, 1], one a channel, for a method.

        The latter is at least `LEAST_STD`: some microscopes leave a channel black.
        """
        images = self.pools["train"].images
        pixels = images[:: max(1, len(images) // 2000)].reshape(-1, self.image_shape[-1])
        # Counted, as so many pixels in floating point would take far more memory than the images.
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
    """Loads a source by name.

    Args:
        dataset: one of `SOURCES`.
        test_episodes: length of `FewShotData.test`.
        all_classes: whether all of the source's classes are one pool, `"all"`, in place of three.
        image_size: height and width of images, pixels; unset, those that a pretrained learner is for.
        **chosen: options of the source's loader (`data_dir`, say), and of `FewShotData` (`n_way`, `k_shot`, ...).

    Raises:
        DataError: for an unknown source, data that are missing or broken, or a split too small.
        ValueError: for an option that the source does not have, or out of its range.
    """
    if dataset not in SOURCES:
        raise DataError(f"dataset {dataset!r} is unknown: use one of {', '.join(sorted(SOURCES))}.")
    options.check(load, {"image_size": image_size})
    of_all = SOURCES[dataset].load_all if all_classes else None
    source = of_all or SOURCES[dataset].load
    unknown = [name for name in chosen if name not in options.names_of([source, FewShotData])]
    if unknown:
        known = ", ".join(sorted(options.names_of([source, FewShotData])))
        raise ValueError(f"dataset {dataset!r} has no option {unknown[0]}: it has image_size, {known}.")
    setting = options.pick(FewShotData, chosen)
    options.check(FewShotData, setting)
    pools = source(image_size, **options.pick(source, chosen))
    if all_classes and not of_all:
        pools = {"all": joined(list(pools.values()))}
    return FewShotData(pools, test_episodes, **setting)
