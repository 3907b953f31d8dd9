"""Caltech-UCSD Birds 200-2011 (Wah et al. 2011) through TensorFlow Datasets, split by species (Chen et al. 2019)."""

import itertools

import numpy as np

from ml_lstm.data import labelled, splits
from ml_lstm.data.pools import ClassPool

TOTALS = {"train": 5_994, "test": 5_794}


def load(
    data_dir: str | None,
    image_size: int = 84,
    cache_dir: str | None = None,
    max_bytes: int = 2**31,
    bounding_box: bool = False,
) -> dict[str, ClassPool]:
    """Loads 200 species of birds, 11,788 photographs, training and test images together.

    Args:
        data_dir: TensorFlow Datasets directory that holds `caltech_birds2011/<version>/`; None: see `prepared.find`.
        image_size: S, pixels a side, whatever an image's proportions.
        cache_dir: where decoded images are kept; None: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        max_bytes: what they may take in memory; where they would take more, they are read from `cache_dir`.
        bounding_box: whether images are cut to the box around the bird.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, 100, 50 and 50 classes, images uint8 [N, S, S, 3].

    Raises:
        DataError: if the data are missing, incomplete or cannot be downloaded.
        ValueError: if `image_size` is not positive.
    """
    split = splits.published("cub")
    names = sorted(itertools.chain(*split.values()))
    source = labelled.DataSet("caltech_birds2011", "CUB-200-2011", dict.fromkeys(TOTALS, names), TOTALS, channels=3)
    crop = labelled.Crop("bounding box", _inside_box) if bounding_box else labelled.Crop("whole", _whole)
    parts = labelled.load(source, data_dir, image_size, cache_dir, max_bytes, crop)
    return {part: ClassPool.from_classes(labelled.joined(parts, classes)) for part, classes in split.items()}


def _whole(example):
    return example["image"]


def _inside_box(example):
    """The pixels that the box covers at least in part; one at least, wherever the box may lie."""
    height, width, _ = example["image"].shape
    top, left, bottom, right = np.clip(example["bbox"], 0, 1)
    row, column = min(int(top * height), height - 1), min(int(left * width), width - 1)
    last_row, last_column = max(int(np.ceil(bottom * height)), row + 1), max(int(np.ceil(right * width)), column + 1)
    return example["image"][row:last_row, column:last_column]
