"""mini-ImageNet (Vinyals et al. 2016), with the images of Ravi & Larochelle (2017), from a user's ImageNet."""

import csv
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from absl import logging
from PIL import Image

from ml_lstm.data import labelled, prepared, splits
from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.resizing import resize
from ml_lstm.data.sources.base import Memory, Place, Source
from ml_lstm.data.tfds import tensorflow_datasets
from ml_lstm.options import checked
from ml_lstm.paths import expanded

NAME, VERSION, TITLE = "mini_imagenet", "1.1.0", "mini-ImageNet"  # 1.0.0 was resized with Lanczos' filter
SIDE = 84
PER_CLASS = 600
PARTS = ("train", "val", "test")
ARCHIVE = "ILSVRC2012_img_train.tar"
LISTS = "https://raw.githubusercontent.com/twitter-research/meta-learning-lstm/master/data/miniImagenet/{}.csv"

Wanted = dict[str, list[str]]
"""Names of images by class, as in a list of Ravi & Larochelle."""


@checked
def load(
    image_size: int,
    *,
    data_dir: Place = None,
    cache_dir: Place = None,
    max_pool_memory: Memory = 2048,
    manual_dir: Place = None,
) -> dict[str, ClassPool]:
    """Loads 100 classes of ImageNet, 600 images each, cropped to their middle square and resized to 84x84.

    The first call prepares them from ImageNet 2012 and writes them to `data_dir`, with a TensorFlow Datasets builder.

    Args:
        image_size: S, height and width in pixels.
        data_dir: TensorFlow Datasets (TFDS) directory. If unset: TFDS's default, `$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`, to which missing data are downloaded.
        cache_dir: directory for decoded images. If unset: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        max_pool_memory: memory limit for images, MiB. A larger data set is resized, written once to `cache_dir` and
            read from there.
        manual_dir: needed if the data set is not yet in `data_dir`: the directory with the training archive of
            ImageNet, ILSVRC2012_img_train.tar, or its class folders `n01532829/*`, and with the lists train.csv,
            val.csv and test.csv; missing lists are downloaded. If unset: `downloads/manual` in the TFDS directory.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, 64, 16 and 20 classes, images uint8 [N, S, S, 3].

    Raises:
        DataError: if ImageNet, a class or an image is missing, or a list is not the published one.
        ValueError: if `image_size` is not positive.
    """
    found = prepared.newest(NAME, data_dir)
    if not found:
        _build(data_dir, manual_dir)
    elif found.name != VERSION:
        logging.warning(
            "%s contains images that version %s resized by another rule than exports: delete it, and it will be "
            "prepared again from ImageNet in --manual_dir.",
            found,
            found.name,
        )
    split = splits.published(NAME)
    totals = {part: PER_CLASS * len(names) for part, names in split.items()}
    source = labelled.DataSet(NAME, TITLE, split, totals, channels=3)
    parts = labelled.load(source, data_dir, image_size, cache_dir, max_pool_memory * 2**20)
    return {part: ClassPool.from_classes(parts[part]) for part in PARTS}


def _build(data_dir, manual_dir):
    root = prepared.root(data_dir)
    manual = expanded(manual_dir) if manual_dir else root / "downloads" / "manual"
    if not ((manual / ARCHIVE).is_file() or any((manual / name).is_dir() for name in splits.published(NAME)["train"])):
        raise DataError(
            f"No prepared {TITLE} in {str(root)!r}, and no ImageNet in {str(manual)!r} to prepare it from: put "
            f"{ARCHIVE} (image-net.org), or its class folders n01532829/* and so on, in a directory, and give it with "
            "--manual_dir."
        )
    tfds = tensorflow_datasets()

    from ml_lstm.data.sources.mini_imagenet_builder import MiniImagenet

    try:
        MiniImagenet(data_dir=root).download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=manual)
        )
    except Exception as error:  # TFDS wraps what the builder raises, and does not catch its own errors
        cause = error
        while cause and not isinstance(cause, DataError):
            cause = cause.__cause__ or cause.__context__
        raise cause or DataError(
            f"{TITLE} cannot be prepared from {manual} ({prepared.one_line(error)}): fix that and run the same command "
            "again."
        ) from error


def read_list(path: Path, part: str) -> Wanted:
    """Reads the list of a split's images: a header line, then lines of the form `image,class`.

    Raises:
        DataError: if the file is not such a list, or does not have 600 images of each published class.
    """
    wanted: Wanted = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for picture, name in list(csv.reader(file))[1:]:
                wanted.setdefault(name, []).append(picture)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a list of images with one image,class per line ({error}).") from None
    published = splits.published(NAME)[part]
    for name in sorted({*published, *wanted}):
        found = len(set(wanted.get(name, ())))
        expected = PER_CLASS if name in published else 0
        if found != expected:
            raise DataError(f"{path} lists {found} images of class {name}, not the {expected} of the published list.")
    return wanted


def pictures(manual_dir: Path, wanted: Wanted) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields class, name and pixels, uint8 [84, 84, 3], of each image of a list.

    Args:
        manual_dir: directory of ImageNet's training archive, or of its class folders.
        wanted: the list. `n0153282900000005.jpg` is the fifth image of class n01532829, ordered by the number in the
            file's name, as in the published lists; `n01532829_31.JPEG` is that file.

    Raises:
        DataError: if a class or an image is missing, or cannot be read.
    """
    archive = manual_dir / ARCHIVE
    classes = _in_archive(archive, wanted) if archive.is_file() else _in_folders(manual_dir, wanted)
    left = dict(wanted)
    for name, where, files in classes:
        for picture, (file_name, file) in _chosen(name, left.pop(name), where, files):
            yield name, picture, _square(f"{where}/{file_name}", file)
    for name in left:
        place = archive if archive.is_file() else manual_dir
        raise DataError(f"Class {name} is not in {place}: check that ImageNet is complete.")


def _in_folders(root: Path, wanted: Wanted):
    for name in wanted:
        if (root / name).is_dir():
            files = {path.name: path for path in (root / name).iterdir() if path.is_file()}
            yield name, root / name, files


def _in_archive(archive: Path, wanted: Wanted):
    """The classes of an archive that contains one archive per class."""
    try:
        with tarfile.open(archive, "r:") as outer:
            for member in outer:
                name = Path(member.name).stem
                if name not in wanted:
                    continue
                with tarfile.open(fileobj=outer.extractfile(member), mode="r:") as inner:
                    files = {Path(entry.name).name: (inner, entry) for entry in inner if entry.isfile()}
                    yield name, f"{archive}/{member.name}", files
    except tarfile.TarError as error:
        raise DataError(f"{archive} is damaged or incomplete ({error}): download it again.") from None


def _chosen(name, names: Iterable[str], where, files):
    """The listed images, each with its file's name and entry in `files`."""
    numbered = sorted((int(match[1]), file) for file in files if (match := re.search(r"_(\d+)\.\w+$", file)))
    for picture in names:
        rank = re.fullmatch(rf"{name}(\d+)\.\w+", picture)
        if rank and not 1 <= int(rank[1]) <= len(numbered):
            raise DataError(
                f"{where} has {len(numbered)} images, but the list needs {picture}, number {int(rank[1])}: check that "
                "ImageNet is complete."
            )
        file = numbered[int(rank[1]) - 1][1] if rank else picture
        if file not in files:
            raise DataError(f"{where} has no image {file}, which is in the list: check that ImageNet is complete.")
        yield picture, (file, files[file])


def _square(where: str, file: Path | tuple) -> np.ndarray:
    try:
        with Image.open(file if isinstance(file, Path) else _extracted(*file)) as picture:
            side = min(picture.size)
            left, top = ((length - side) // 2 for length in picture.size)
            middle = picture.convert("RGB").crop((left, top, left + side, top + side))
            return resize(np.asarray(middle)[None], SIDE, SIDE)[0].numpy()
    except Exception as error:  # Pillow's decoders raise almost any type
        raise DataError(f"{where} cannot be read as an image ({error}): download ImageNet again.") from None


def _extracted(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> BinaryIO:
    return archive.extractfile(entry)


SOURCE = Source(load, 3, "mini-ImageNet, 64/16/20 classes of ImageNet, 600 photographs each, 84x84")
