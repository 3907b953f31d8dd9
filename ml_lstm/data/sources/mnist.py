"""MNIST, whose ten digits become 500 classes by shuffled pixels.

Munkhdalai & Yu, Meta Networks, ICML 2017, section 4.2.3.
"""

import numpy as np

from ml_lstm.data import labelled
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sources.base import Memory, Place, Source
from ml_lstm.options import checked

PERMUTATIONS = {"train": 50, "val": 10}


@checked
def load(
    image_size: int, *, data_dir: Place = None, cache_dir: Place = None, max_pool_memory: Memory = 2048
) -> dict[str, ClassPool]:
    """Loads the ten digits, black strokes (0) on white (255): as Omniglot has its characters, not as MNIST has them.

    Meta-training has them under 50 shuffles of the pixels, each a class of its own, and meta-validation under 10
    others; meta-test has the digits as they are. So the three share no class, and what was trained elsewhere is tested
    on real digits. Meta-training takes the training images of the data set, the others its test images.

    Args:
        image_size: S, pixels a side; the originals have 28.
        data_dir: TensorFlow Datasets directory; unset: TFDS's own default, `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`, with download.
        cache_dir: where decoded images are kept; unset: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        max_pool_memory: MiB that images may take in memory; more are written to `cache_dir` once, resized, and read
            from there.

    Returns:
        The pools `"train"`, `"val"` and `"test"`: 500, 100 and 10 classes, images uint8 [N, S, S, 1].

    Raises:
        DataError: if the data are missing, incomplete or cannot be downloaded.
        ValueError: if `image_size` is not positive.
    """
    totals = {"train": 60_000, "test": 10_000}
    source = labelled.DataSet("mnist", "MNIST", dict.fromkeys(totals, "0123456789"), totals, channels=1)
    parts = labelled.load(source, data_dir, image_size, cache_dir, max_pool_memory * 2**20)
    generator = np.random.default_rng(0)
    shuffles = {
        split: np.stack([generator.permutation(image_size**2) for _ in range(number)]).astype(np.int32)
        for split, number in PERMUTATIONS.items()
    }
    train, test = (ClassPool.from_classes(parts[part]).inverted() for part in ("train", "test"))
    return {
        "train": train._replace(views=shuffles["train"]),
        "val": test._replace(views=shuffles["val"]),
        "test": test,
    }


SOURCE = Source(load, 1, "MNIST; 500/100 classes by shuffled pixels to train on, the ten digits to test on")
