"""CIFAR-FS, CIFAR-100 split by class.

Bertinetto et al., Meta-Learning with Differentiable Closed-Form Solvers, ICLR 2019.
"""

import itertools

from ml_lstm.data import labelled, splits
from ml_lstm.data.pools import ClassPool

TOTALS = {"train": 50_000, "test": 10_000}


def load(
    data_dir: str | None, image_size: int = 32, cache_dir: str | None = None, max_bytes: int = 2**31
) -> dict[str, ClassPool]:
    """Loads the 100 classes of CIFAR-100, 600 images each, its training and test images together.

    Args:
        data_dir: TensorFlow Datasets directory that holds `cifar100/<version>/`; None: see `prepared.find`.
        image_size: S, pixels a side; the originals have 32.
        cache_dir: where decoded images are kept; None: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        max_bytes: what they may take in memory; where they would take more, they are read from `cache_dir`.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, 64, 16 and 20 classes, images uint8 [N, S, S, 3].

    Raises:
        DataError: if the data are missing, incomplete or cannot be downloaded.
        ValueError: if `image_size` is not positive.
    """
    split = splits.published("cifar_fs")
    names = sorted(itertools.chain(*split.values()))
    source = labelled.DataSet("cifar100", "CIFAR-100", dict.fromkeys(TOTALS, names), TOTALS, channels=3)
    parts = labelled.load(source, data_dir, image_size, cache_dir, max_bytes)
    return {part: ClassPool.from_classes(labelled.joined(parts, classes)) for part, classes in split.items()}
