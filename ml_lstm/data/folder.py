"""Pictures in folders, `DIR/train|val|test/<class>/*`: a user's own, or mini-ImageNet laid out so."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool


def load(data_dir: str | None, image_size: int) -> dict[str, ClassPool]:
    """Loads every picture below `DIR/<split>/<class>/`, as RGB, in the order of the names.

    Args:
        data_dir: DIR.
        image_size: S, height and width that pictures are resized to, pixels.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, images uint8 [N, S, S, 3].

    Raises:
        DataError: if the directory, a split or a class's pictures are missing, a file is no picture, or two
            splits share a class.
    """
    if data_dir is None:
        raise DataError("--dataset=folder reads pictures from --data_dir=DIR: give it.")
    pools = {split: _load_split(Path(data_dir) / split, image_size) for split in ("train", "val", "test")}
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = sorted(set(pools[first].names) & set(pools[second].names))
        if shared:
            raise DataError(
                f"{data_dir}: class {shared[0]!r} is in {first} and in {second}; the splits must not share classes."
            )
    return pools


def _load_split(directory: Path, image_size: int) -> ClassPool:
    if not directory.is_dir():
        raise DataError(f"{directory} is no directory; --data_dir must hold train, val and test.")
    files = {
        entry.name: sorted(path for path in entry.iterdir() if path.is_file())
        for entry in sorted(directory.iterdir())
        if entry.is_dir()
    }
    if not files:
        raise DataError(f"{directory} has no class folder; put pictures in {directory}/<class>/.")
    for name, paths in files.items():
        if not paths:
            raise DataError(f"{directory / name} has no picture; remove the folder, or fill it.")
    with ThreadPoolExecutor() as pool:
        classes = {
            name: np.stack(list(pool.map(lambda path: _read(path, image_size), paths))) for name, paths in files.items()
        }
    return ClassPool.from_classes(classes)


def _read(path: Path, image_size: int) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB").resize((image_size, image_size), Image.Resampling.BILINEAR))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as a picture ({error}); remove or replace it.") from None
