"""One call from a data set's name to its episodes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ml_lstm.data import cache, cifar_fs, cub, folder, glyphs, mini_imagenet, mnist, omniglot
from ml_lstm.data.batches import BatchSampler
from ml_lstm.data.episodes import EpisodeSampler
from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sampler import Sampler

SPLITS = ("train", "val", "test")


def _glyphs(*, image_size, **_) -> dict[str, ClassPool]:
    return glyphs.load(image_size)


def _omniglot(*, data_dir, cache_dir, image_size, omniglot_protocol, **_) -> dict[str, ClassPool]:
    return omniglot.load(data_dir, image_size, omniglot_protocol, cache_dir)


def _folder(
    *, data_dir, cache_dir, image_size, split_fractions, split_seed, strict, max_bytes, **_
) -> dict[str, ClassPool]:
    return folder.load(data_dir, image_size, split_fractions, split_seed, strict, max_bytes, cache_dir)


def _mnist(*, data_dir, cache_dir, image_size, max_bytes, **_) -> dict[str, ClassPool]:
    return mnist.load(data_dir, image_size, cache_dir, max_bytes)


def _cifar_fs(*, data_dir, cache_dir, image_size, max_bytes, **_) -> dict[str, ClassPool]:
    return cifar_fs.load(data_dir, image_size, cache_dir, max_bytes)


def _mini_imagenet(*, data_dir, cache_dir, image_size, max_bytes, manual_dir, **_) -> dict[str, ClassPool]:
    return mini_imagenet.load(data_dir, image_size, cache_dir, max_bytes, manual_dir)


def _cub(*, data_dir, cache_dir, image_size, max_bytes, cub_bounding_box, **_) -> dict[str, ClassPool]:
    return cub.load(data_dir, image_size, cache_dir, max_bytes, cub_bounding_box)


class Source(NamedTuple):
    """Where images can come from.

    Attributes:
        load: takes what `load` below takes on sources, by name.
        channels: of its images.
        description: what it is, in a line.
    """

    load: Callable[..., dict[str, ClassPool]]
    channels: int
    description: str


SOURCES = {
    "cifar_fs": Source(
        _cifar_fs, 3, "CIFAR-100, 64/16/20 classes of 600 colour images of 32x32 (Bertinetto et al. 2019)"
    ),
    "cub": Source(_cub, 3, "CUB-200-2011, birds, 100/50/50 species, about 60 photographs each (Chen et al. 2019)"),
    "folder": Source(_folder, 3, "your pictures: DIR/<class>/*, or DIR/train|val|test/<class>/*"),
    "glyphs": Source(_glyphs, 1, "characters drawn by the program: no file, no network; the default"),
    "mini_imagenet": Source(
        _mini_imagenet, 3, "mini-ImageNet, 64/16/20 classes of ImageNet, 600 photographs each, 84x84"
    ),
    "mnist": Source(_mnist, 1, "MNIST; 500/100 classes by shuffled pixels to train on, the ten digits to test on"),
    "omniglot": Source(_omniglot, 1, "Omniglot, 1028/172/423 characters, 20 drawings each (Vinyals et al. 2016)"),
}


class FewShotData:
    """The three disjoint sets of classes of a source, and the episodes drawn from them.

    Args:
        pools: a `ClassPool` for each of `SPLITS`.
        n_way: classes an episode.
        k_shot: support images a class.
        n_query: query images a class.
        seed: decides the meta-training episodes; validation and test episodes are the same for every seed.
        validation_episodes: length of `validation`.
        test_episodes: length of `test`.
        train_n_way: classes of a meta-training episode; None for `n_way`. More than in the test make a harder
            lesson that trains faster (Snell et al. 2017).
        train_k_shot: support images a class in a meta-training episode; None for `k_shot`.
        train_n_query: query images a class in a meta-training episode; None for `n_query`.
        augment: what is done to meta-training images, see `ml_lstm.data.augmentation`.
        batch_size: images in one of `train_batches`.
    """

    def __init__(
        self,
        pools: dict[str, ClassPool],
        n_way: int,
        k_shot: int,
        n_query: int = 15,
        seed: int = 0,
        validation_episodes: int = 100,
        test_episodes: int = 600,
        train_n_way: int | None = None,
        train_k_shot: int | None = None,
        train_n_query: int | None = None,
        augment: str = "none",
        batch_size: int = 64,
    ):
        self.pools = pools
        self._ways = {"train": train_n_way or n_way, "val": n_way, "test": n_way}
        self._shots = {"train": train_k_shot or k_shot, "val": k_shot, "test": k_shot}
        self._queries = {"train": train_n_query or n_query, "val": n_query, "test": n_query}
        self._augment = augment
        self._batch_size = batch_size
        self._seed = seed
        self._samplers: dict[str, EpisodeSampler] = {}
        self._validation_episodes = validation_episodes
        self._test_episodes = test_episodes

    def setting(self, split: str) -> tuple[int, int, int]:
        """Classes, support images and query images a class, of an episode of one of `SPLITS`."""
        return self._ways[split], self._shots[split], self._queries[split]

    def sampler(self, split: str) -> EpisodeSampler:
        """Episodes of one of `SPLITS` by their index.

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
            )
        return self._samplers[split]

    def training_sampler(self, trains_on: str) -> Sampler:
        """What a method trains on, by its index.

        Args:
            trains_on: `FewShotClassifier.trains_on`, `"episodes"` or `"classes"`.

        Raises:
            DataError: if the meta-training classes are too few or too small for the episodes.
        """
        if trains_on == "episodes":
            return self.sampler("train")
        return BatchSampler(self.pools["train"], self._batch_size, self._seed, self._augment)

    @property
    def train(self) -> tf.data.Dataset:
        """Meta-training episodes, without end."""
        return self.sampler("train").dataset()

    @property
    def train_batches(self) -> tf.data.Dataset:
        """Batches of images from all meta-train classes, without end, for methods that train on `"classes"`."""
        return self.training_sampler("classes").dataset()

    @property
    def train_classes(self) -> int:
        """How many classes `train_batches` have."""
        return self.pools["train"].num_classes

    @property
    def validation(self) -> tf.data.Dataset:
        """Meta-validation episodes, always the same."""
        return self.sampler("val").dataset(count=self._validation_episodes)

    @property
    def test(self) -> tf.data.Dataset:
        """Meta-test episodes, always the same."""
        return self.sampler("test").dataset(count=self._test_episodes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        return self.pools["train"].image_shape

    def require_channels(self, channels: int) -> None:
        """Turns coloured pictures to grey, or repeats grey ones in three channels; see `ClassPool.with_channels`."""
        self.pools = {split: pool.with_channels(channels) for split, pool in self.pools.items()}
        self._samplers = {}

    def class_digest(self) -> str:
        """Characters that change with the name of any class, or the split that it is in."""
        return cache.digest([(split, pool.names) for split, pool in sorted(self.pools.items())])

    def image_statistics(self) -> dict[str, list[float]]:
        """`image_mean` and `image_std` of meta-training pixels in [0, 1], one a channel, for a method."""
        images = self.pools["train"].images
        pixels = images[:: max(1, len(images) // 2000)].reshape(-1, self.image_shape[-1])
        # Counted, as so many pixels in floating point would take far more memory than the images.
        counts = np.stack([np.bincount(channel, minlength=256) for channel in pixels.T]) / len(pixels)
        values = np.arange(256) / 255
        mean = counts @ values
        std = np.sqrt(counts @ values**2 - mean**2)
        return {
            "image_mean": [round(float(value), 4) for value in mean],
            "image_std": [round(float(value), 4) for value in std],
        }


def load(
    dataset: str,
    n_way: int,
    k_shot: int,
    n_query: int = 15,
    *,
    image_size: int = 28,
    data_dir: str | None = None,
    cache_dir: str | None = None,
    omniglot_protocol: str = "vinyals",
    cub_bounding_box: bool = False,
    split_fractions: Sequence[float] = folder.SPLIT_FRACTIONS,
    split_seed: int = 0,
    strict: bool = False,
    manual_dir: str | None = None,
    max_pool_memory: float = 2048,
    seed: int = 0,
    validation_episodes: int = 100,
    test_episodes: int = 600,
    train_n_way: int | None = None,
    train_k_shot: int | None = None,
    train_n_query: int | None = None,
    augment: str = "none",
    batch_size: int = 64,
) -> FewShotData:
    """Loads a source by name.

    Args:
        dataset: one of `SOURCES`.
        n_way: classes an episode.
        k_shot: support images a class.
        n_query: query images a class.
        image_size: height and width that images are given, pixels.
        data_dir: TensorFlow Datasets directory, None for its default, with download; or the folder.
        cache_dir: where decoded images are kept; None for `~/.cache/ml_lstm`.
        omniglot_protocol: see `ml_lstm.data.omniglot`.
        cub_bounding_box: see `ml_lstm.data.cub`.
        split_fractions: see `ml_lstm.data.folder`.
        split_seed: see `ml_lstm.data.folder`.
        strict: see `ml_lstm.data.folder`.
        manual_dir: see `ml_lstm.data.mini_imagenet`.
        max_pool_memory: MiB that the images of a source may take in memory; more are read from disk as needed.
            Those of `glyphs` and `omniglot` are always in memory.
        seed: of the meta-training episodes.
        validation_episodes: length of the validation set.
        test_episodes: length of the test set.
        train_n_way: classes of a meta-training episode, if not `n_way`.
        train_k_shot: support images a class in a meta-training episode, if not `k_shot`.
        train_n_query: query images a class in a meta-training episode, if not `n_query`.
        augment: what is done to meta-training images, one of `AUGMENTATIONS`.
        batch_size: images in a batch, for methods that train on all meta-train classes at once.

    Raises:
        DataError: for an unknown source, data that are missing or broken, or a split too small.
    """
    if dataset not in SOURCES:
        raise DataError(f"dataset {dataset!r} is unknown: use one of {', '.join(sorted(SOURCES))}.")
    pools = SOURCES[dataset].load(
        data_dir=data_dir,
        cache_dir=cache_dir,
        image_size=image_size,
        omniglot_protocol=omniglot_protocol,
        cub_bounding_box=cub_bounding_box,
        split_fractions=split_fractions,
        split_seed=split_seed,
        strict=strict,
        manual_dir=manual_dir,
        max_bytes=int(max_pool_memory * 2**20),
    )
    return FewShotData(
        pools,
        n_way,
        k_shot,
        n_query,
        seed,
        validation_episodes,
        test_episodes,
        train_n_way,
        train_k_shot,
        train_n_query,
        augment,
        batch_size,
    )
