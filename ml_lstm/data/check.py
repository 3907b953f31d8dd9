"""Checks of a data set before training."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ml_lstm.data.pools import ClassPool

_AT_ONCE = 1024  # images per read, which may be from disk


class Setting(NamedTuple):
    """The episodes of a split."""

    n_way: int
    k_shot: int
    n_query: int


def problems(pools: Mapping[str, ClassPool], settings: Mapping[str, Setting]) -> Iterator[str]:
    """Yields one sentence for each problem that would spoil training or its result.

    The problems are: a split whose images all have one colour, classes that are too small, images in two splits.

    Args:
        pools: by split.
        settings: by split.
    """
    yield from _blank(pools)
    yield from _too_small(pools, settings)
    yield from _in_two_splits(pools)


def constant_channels(pool: ClassPool) -> list[str]:
    """Names of the channels that have one value in all images of a pool: they carry no information."""
    channels = pool.image_shape[-1]
    names = ("red", "green", "blue") if channels == 3 else ("grey",)
    first = np.reshape(pool.images[0], [-1, channels])[0]
    constant = np.ones(channels, bool)
    for start in range(0, len(pool.images), _AT_ONCE):
        if constant.any():
            constant &= (pool.images[start : start + _AT_ONCE] == first).all(axis=(0, 1, 2))
    return [name for name, is_constant in zip(names, constant, strict=True) if is_constant]


def _blank(pools):
    for split, pool in pools.items():
        if len(constant_channels(pool)) == pool.image_shape[-1]:
            yield f"All images of {split} have the same single colour: its classes cannot be distinguished."


def _too_small(pools, settings):
    for split, pool in pools.items():
        setting = settings[split]
        if pool.num_classes < setting.n_way:
            yield f"{split} has {pool.num_classes} classes, too few for {setting.n_way}-way episodes."
        needed = setting.k_shot + setting.n_query
        small = [name for name, count in zip(pool.names, pool.counts, strict=True) if count < needed]
        if small:
            yield (
                f"{split} has {len(small)} class(es) with fewer than the {setting.k_shot} support + {setting.n_query} "
                f"query images of an episode: {_some(small)}."
            )


def _in_two_splits(pools):
    seen: dict[bytes, tuple[str, str]] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for split, pool in pools.items():
        for name, start, count in zip(pool.names, pool.offsets, pool.counts, strict=True):
            for image in pool.images[start : start + count]:
                if pool.views is not None:  # the first view represents all of them
                    image = image.reshape(-1, image.shape[-1])[pool.views[0]]
                digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
                first_split, first_name = seen.setdefault(digest, (split, name))
                if first_split != split:
                    shared.setdefault((first_split, split), []).append(f"{first_name!r} and {name!r}")
    for (first, second), pairs in shared.items():
        where = _some(list(dict.fromkeys(pairs)))
        yield f"{len(pairs)} image(s) of {second} are also in {first}, with identical pixels: in {where}."


def _some(names, most=5):
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
