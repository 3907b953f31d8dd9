"""Caltech-UCSD Birds 200-2011 (Wah et al. 2011) through TensorFlow Datasets, split by species (Chen et al. 2019)."""

import itertools

import numpy as np

from ml_lstm.data import labelled, splits
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sources.base import Memory, Place, Source
from ml_lstm.options import checked

TOTALS = {"train": 5_994, "test": 5_794}


@checked
def load(
    image_size: int,
    *,
    data_dir: Place = None,
    cache_dir: Place = None,
    max_pool_memory: Memory = 2048,
    cub_bounding_box: bool = False,
) -> dict[str, ClassPool]:
    """Loads 200 species of birds, 11,788 photographs; training and test images are joined.

    Args:
        image_size: S, height and width in pixels; proportions are not kept.
        data_dir: TensorFlow Datasets (TFDS) directory. If unset: TFDS's default, `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`, to which missing data are downloaded.
        cache_dir: directory for decoded images. If unset: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        max_pool_memory: memory limit for images, MiB. A larger data set is resized, written once to `cache_dir` and
            read from there.
        cub_bounding_box: whether images are cropped to the box around the bird.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, 100, 50 and 50 classes, images uint8 [N, S, S, 3].

    Raises:
        DataError: if the data are missing, incomplete or cannot be downloaded.
        ValueError: if `image_size` is not positive.
    """
    split = splits.published("cub")
    names = sorted(itertools.chain(*split.values()))
    source = labelled.DataSet("caltech_birds2011", "CUB-200-2011", dict.fromkeys(TOTALS, names), TOTALS, channels=3)
    crop = labelled.Crop("bounding box", _inside_box) if cub_bounding_box else labelled.Crop("whole", _whole)
    parts = labelled.load(source, data_dir, image_size, cache_dir, max_pool_memory * 2**20, crop)
    return {part: ClassPool.from_classes(labelled.joined(parts, classes)) for part, classes in split.items()}


def _whole(example):
    return example["image"]


def _inside_box(example):
    """The pixels that the box covers at least in part; at least one, even for a box outside the image."""
    height, width, _ = example["image"].shape
    top, left, bottom, right = np.clip(example["bbox"], 0, 1)
    row, column = min(int(top * height), height - 1), min(int(left * width), width - 1)
    last_row, last_column = max(int(np.ceil(bottom * height)), row + 1), max(int(np.ceil(right * width)), column + 1)
    return example["image"][row:last_row, column:last_column]


SOURCE = Source(load, 3, "CUB-200-2011, birds, 100/50/50 species, about 60 photographs each (Chen et al. 2019)")
