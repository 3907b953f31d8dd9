"""CIFAR-FS, CIFAR-100 split by class.

Bertinetto et al., Meta-Learning with Differentiable Closed-Form Solvers, ICLR 2019.
"""

import itertools

from ml_lstm.data import labelled, splits
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sources.base import Memory, Place, Source
from ml_lstm.options import checked

TOTALS = {"train": 50_000, "test": 10_000}


@checked
def load(
    image_size: int, *, data_dir: Place = None, cache_dir: Place = None, max_pool_memory: Memory = 2048
) -> dict[str, ClassPool]:
    """Loads the 100 classes of CIFAR-100, 600 images each; its training and test images are joined.

    Args:
        image_size: S, height and width in pixels; the originals have 32.
        data_dir: TensorFlow Datasets (TFDS) directory. If unset: TFDS's default, `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`, to which missing data are downloaded.
        cache_dir: directory for decoded images. If unset: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        max_pool_memory: memory limit for images, MiB. A larger data set is resized, written once to `cache_dir` and
            read from there.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, 64, 16 and 20 classes, images uint8 [N, S, S, 3].

    Raises:
        DataError: if the data are missing, incomplete or cannot be downloaded.
        ValueError: if `image_size` is not positive.
    """
    split = splits.published("cifar_fs")
    names = sorted(itertools.chain(*split.values()))
    source = labelled.DataSet("cifar100", "CIFAR-100", dict.fromkeys(TOTALS, names), TOTALS, channels=3)
    parts = labelled.load(source, data_dir, image_size, cache_dir, max_pool_memory * 2**20)
    return {part: ClassPool.from_classes(labelled.joined(parts, classes)) for part, classes in split.items()}


SOURCE = Source(load, 3, "CIFAR-100, 64/16/20 classes of 600 colour images of 32x32 (Bertinetto et al. 2019)")
