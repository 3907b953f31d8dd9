"""MNIST, whose ten digits become 500 classes by shuffling pixels.

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
    """Loads the ten digits as black strokes (0) on white (255): like Omniglot, and inverted with respect to MNIST.

    Meta-training uses 50 shuffles of the pixels, each of which makes ten new classes. Meta-validation uses 10 other
    shuffles; meta-test uses the unchanged digits. So the three share no class, and a model trained on other data is
    tested on real digits. Meta-training uses the training images of MNIST, the others its test images.

    Args:
        image_size: S, height and width in pixels; the originals have 28.
        data_dir: TensorFlow Datasets (TFDS) directory. If unset: TFDS's default, `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`, to which missing data are downloaded.
        cache_dir: directory for decoded images. If unset: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        max_pool_memory: memory limit for images, MiB. A larger data set is resized, written once to `cache_dir` and
            read from there.

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
