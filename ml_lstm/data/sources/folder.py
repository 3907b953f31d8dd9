"""Images in folders: a user's own, `DIR/<class>/*`, or already split, `DIR/train|val|test/<class>/*`."""

import functools
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
import tqdm
from absl import logging

from ml_lstm.data import cache, pictures, stored
from ml_lstm.data.errors import DataError
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.resizing import resize
from ml_lstm.data.sources.base import Memory, Place, Source
from ml_lstm.errors import sentence
from ml_lstm.folders import listed, visible
from ml_lstm.options import FREE, Rule, Whole, checked
from ml_lstm.paths import expanded

_AT_ONCE = 256
_WHOLE = "whole"  # TFDS reserves "all"
_STORE_FORMAT = 5  # incremented whenever the same files would give different images

SPLITS = ("train", "val", "test")
SPLIT_FRACTIONS = (0.64, 0.16, 0.2)
"""The fractions of mini-ImageNet's classes."""

_EXPECTED = "Expected: images in {0}/<class>/, or in {0}/train/<class>/, {0}/val/<class>/ and {0}/test/<class>/."

_MEANT = {
    "train": re.compile(r"train(ing)?|background"),
    "val": re.compile(r"val(id(ation)?)?|dev(elopment)?"),
    "test": re.compile(r"test(ing)?|eval(uation)?"),
}
_BESIDE = re.compile(r"^(images?|data)[ _-]*|[ _-]*(sets?|splits?|images?|data|\d+)$")

Shares = Annotated[
    tuple[float, float, float],
    Rule(
        lambda shares: min(shares) > 0 and math.isclose(sum(shares), 1, abs_tol=1e-6),
        "three positive numbers that add up to 1",
    ),
]


@checked
def load(
    image_size: int,
    all_classes: bool = False,
    *,
    data_dir: Place = None,
    cache_dir: Place = None,
    max_pool_memory: Memory = 2048,
    split_fractions: Shares = SPLIT_FRACTIONS,
    split_seed: Whole = 0,
    strict: Annotated[bool, FREE] = False,
) -> dict[str, ClassPool]:
    """Loads all images, as RGB, in the order of their names.

    Images are rotated as their EXIF data say. Transparent pixels become white, the first frame of an animation is used,
    and 16 bits become 8. Files that are damaged, or not a JPEG, PNG, BMP or GIF, are left out and listed in one
    warning. Names that begin with a dot, and files that archivers and operating systems leave behind, are ignored.
    The resized images are kept in `cache_dir` until a file changes.

    Args:
        image_size: S, height and width of the resized images, in pixels; proportions are not kept.
        all_classes: whether all classes form one pool, `"all"`, instead of three; then one class is enough.
        data_dir: directory with class folders, or with the folders train, val and test.
        cache_dir: directory for decoded images. If unset: `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`.
        max_pool_memory: memory limit for images, MiB. A larger data set is resized, written once to `cache_dir` and
            read from there.
        split_fractions: fractions of the classes for training, validation and test, if `data_dir` has no folders train,
            val and test.
        split_seed: seed of the random split, which depends only on this seed, the fractions and the class names.
        strict: whether a file that cannot be read is an error; otherwise it is left out.

    Returns:
        The pools `"train"`, `"val"` and `"test"`, images uint8 [N, S, S, 3].

    Raises:
        DataError: if the directory, a split or the images of a class are missing or cannot be read, if the folders have
            another layout, if two classes have the same name, if there are fewer classes than splits, or, with
            `strict`, if a file cannot be read.
    """
    if data_dir is None:
        raise DataError("--dataset=folder reads images from a directory: set --data_dir=DIR.")
    root = expanded(data_dir)
    if not root.is_dir():
        raise DataError(f"{root} is not a directory: check --data_dir.")
    if _is_split(root):
        folders = {split: _class_folders(root / split, root) for split in SPLITS}
    elif all_classes:
        folders = {_WHOLE: _class_folders(root, root)}
    else:
        folders = _split(root, _class_folders(root, root), split_fractions, split_seed)
    if all_classes:
        folders = {_WHOLE: [folder for classes in folders.values() for folder in classes]}
    _require_names_of_their_own(root, [folder for classes in folders.values() for folder in classes])
    files = {folder: _files(folder) for classes in folders.values() for folder in classes}
    inner = [inside for folder, found in files.items() if found for inside in _folders(folder)]
    if inner:
        shown = ", ".join(str(path.relative_to(root)) for path in inner[:5])
        logging.warning("%s: %d folder(s) inside class folders are ignored: %s", root, len(inner), shown)
    shape = (image_size, image_size, 3)
    if sum(map(len, files.values())) * math.prod(shape) > max_pool_memory * 2**20:
        pools = _on_disk(root, folders, files, shape, strict, cache_dir)
    else:
        pools = _in_memory(root, folders, files, image_size, strict, cache_dir)
    return {"all": pools[_WHOLE]} if all_classes else pools


def _in_memory(root, folders, files, image_size, strict, cache_dir) -> dict[str, ClassPool]:
    """The pools, with images from the cache; if they are not cached, reads the files and writes the cache."""
    files = dict(sorted(files.items()))  # an order that does not depend on the split
    of_root = f"folder-{cache.digest(str(root.resolve()))}-{image_size}px-"
    kept = cache.place(cache_dir) / f"{of_root}{_identity(root, {}, files)}.npz"
    names = ("images", "counts", "problems")
    arrays = cache.load(kept, names, str(root), lambda arrays: len(arrays["counts"]) == len(files))
    if arrays is None:
        found = _read_files(files, image_size)
        images = [picture for of_class in found for picture in of_class if not isinstance(picture, str)]
        problems = [picture for of_class in found for picture in of_class if isinstance(picture, str)]
        counts = [sum(not isinstance(picture, str) for picture in of_class) for of_class in found]
        none = np.zeros((0, image_size, image_size, 3), np.uint8)
        arrays = {
            "images": np.stack(images) if images else none,
            "counts": np.array(counts),
            "problems": np.array(problems, dtype=np.str_),
        }
        cache.save(kept, arrays, str(root))
        cache.forget_others(kept, of_root)
    _report(root, arrays["problems"].tolist(), strict)
    by_folder = dict(zip(files, np.split(arrays["images"], np.cumsum(arrays["counts"])[:-1]), strict=True))
    for folder, images in by_folder.items():
        _require_some(folder, images)
    return {
        split: ClassPool.from_classes({folder.name: by_folder[folder] for folder in classes})
        for split, classes in folders.items()
    }


def _identity(root, layout, files) -> str:
    """A hash of everything that affects the images: the files' names, sizes, times and permissions."""

    def state(path):
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode]

    files = [
        (str(path.relative_to(root)), state(path) if path.exists() else None)
        for paths in files.values()
        for path in paths
    ]
    return cache.digest([_STORE_FORMAT, layout, files])


def _on_disk(root, folders, files, shape, strict, cache_dir) -> dict[str, ClassPool]:
    """The pools, with images that are resized, written once to the cache and read from there."""
    layout = {split: [folder.name for folder in classes] for split, classes in folders.items()}
    directory = cache.place(cache_dir) / f"folder-{shape[0]}px-{_identity(root, layout, files)}"
    problems: list[str] = []

    def examples(classes):
        with ThreadPoolExecutor() as pool:
            for label, folder in enumerate(classes):
                for found in _read_all(pool, files[folder], shape[0], progress):
                    if isinstance(found, str):
                        problems.append(found)
                    else:
                        yield label, found

    with _progress(files) as progress:
        parts = {split: examples(classes) for split, classes in folders.items()}
        kept = stored.stored(directory, parts, shape, problems)
    _report(root, kept.notes, strict)
    pools = {}
    for split, classes in folders.items():
        images = {folder.name: kept.images(split, label) for label, folder in enumerate(classes)}
        for folder in classes:
            _require_some(folder, images[folder.name])
        pools[split] = ClassPool.from_classes(images)
    return pools


def _read_files(files, image_size) -> list[list[np.ndarray | str]]:
    """The images of each folder; for a file that cannot be read, what is wrong with it."""
    with ThreadPoolExecutor() as pool, _progress(files) as progress:
        return [list(_read_all(pool, paths, image_size, progress)) for paths in files.values()]


def _read_all(pool, paths, image_size, progress) -> Iterator[np.ndarray | str]:
    """Reads files in parallel, a limited number at a time, so that they fit in memory."""
    for start in range(0, len(paths), _AT_ONCE):
        for found in pool.map(lambda path: _read(path, image_size), paths[start : start + _AT_ONCE]):
            progress.update()
            yield found


def _progress(files) -> tqdm.tqdm:
    """A progress bar, shown in a terminal after two seconds."""
    return tqdm.tqdm(total=sum(map(len, files.values())), desc="Reading images", unit="", delay=2, disable=None)


def _is_split(root: Path) -> bool:
    """Whether the folders in `root` are splits; otherwise they are classes, one of which may be called train.

    A split contains folders, and a class contains files.
    """
    folders = _folders(root)
    named = [folder for folder in folders if folder.name in SPLITS]
    others = [folder for folder in folders if folder.name not in SPLITS]
    splits = [folder for folder in named if _folders(folder)]
    classes = [folder for folder in others if _files(folder)]
    if not splits:
        _refuse_flat_splits(root, folders)
        return False
    if len(named) == len(SPLITS):
        if classes:
            logging.warning("%s has %s beside train, val and test: ignored.", root, listed(classes))
        return True
    if classes:
        if not all(_files(folder) for folder in splits):
            raise DataError(
                f"{root} has {listed(classes)} with files in them, like classes, and {listed(splits)} with "
                f"folders in them, like splits. {_EXPECTED.format(root)}"
            )
        return False
    missing = " and ".join(split for split in SPLITS if split not in [folder.name for folder in named])
    renamed = [f"{folder.name} to {meant}" for folder in others if (meant := _meant(folder)) and meant in missing]
    how = f"rename {' and '.join(renamed)}" if renamed else f"make {missing}"
    raise DataError(
        f"{root} has {' and '.join(folder.name for folder in named)}, but no {missing}: {how}, or use classes only."
    )


def _meant(folder: Path) -> str | None:
    """The split that a folder's name seems to mean, for example val for validation; None for another name."""
    name = _BESIDE.sub("", folder.name.lower())
    return next((split for split, pattern in _MEANT.items() if pattern.fullmatch(name)), None)


def _refuse_flat_splits(root: Path, folders: list[Path]) -> None:
    """Raises an error if all folders are named like splits and none contains class folders."""
    meant = [_meant(folder) for folder in folders]
    if len(folders) > 1 and all(meant) and len(set(meant)) == len(meant) and any(map(_files, folders)):
        raise DataError(
            f"{root} has {listed(folders)} with files in them, but no class folders. {_EXPECTED.format(root)}"
        )


def _class_folders(directory: Path, root: Path) -> list[Path]:
    for entry in _entries(directory):
        if entry.is_symlink() and not entry.exists():
            raise DataError(f"{entry} is a broken or circular link: remove it.")
    folders = _folders(directory)
    if not folders:
        raise DataError(f"{directory} has no class folders: put images in {directory}/<class>/.")
    strays = [path for path in _files(directory) if _looks_like_a_picture(path)]
    if strays:
        logging.warning(
            "%s has %d image(s) outside class folders, which are ignored: %s",
            *(directory, len(strays), listed(strays)),
        )
    _refuse_nested(directory, folders, root)
    return folders


def _refuse_nested(directory: Path, folders: list[Path], root: Path) -> None:
    """Raises an error if all folders contain only folders and are not splits."""
    if any(map(_files, folders)) or not any(map(_folders, folders)):
        return
    deep = [folder for folder in folders if _folders(folder)]
    first = deep[0]
    seen = f"{directory} has {listed(folders)} with folders ({listed(_folders(first))}) and no images in them"
    meant = {folder.name: _meant(folder) for folder in deep}
    if len(folders) == 1 and directory == root:
        what = f"If those are the classes or the splits, use --data_dir={first}."
    elif all(meant.values()) and len(set(meant.values())) == len(meant):
        what = "Rename " + ", ".join(f"{name} to {split}" for name, split in meant.items() if name != split) + "."
    else:
        inner = _folders(first)[0]
        what = f"Join the two levels, for example as {directory / f'{first.name}_{inner.name}'}."
    raise DataError(f"{seen}. {what} {_EXPECTED.format(root)}")


def _looks_like_a_picture(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(8).startswith(pictures.BEGINNINGS)
    except OSError:
        return False


def _entries(directory: Path) -> list[Path]:
    try:
        return visible(directory)
    except OSError as error:
        raise DataError(
            f"{directory} cannot be read ({error.strerror}): check that it exists and is readable."
        ) from None


def _folders(directory: Path) -> list[Path]:
    return [entry for entry in _entries(directory) if entry.is_dir()]


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if not path.is_dir()]


def _split(root: Path, folders: list[Path], fractions: Sequence[float], seed: int) -> dict[str, list[Path]]:
    """Splits the classes at random, with at least one class per split."""
    if len(folders) < len(SPLITS):
        raise DataError(
            f"{root} has {len(folders)} class(es), {listed(folders)}: training, validation and test need at least one "
            f"each. {_EXPECTED.format(root)}"
        )
    ends = np.rint(np.cumsum(fractions) * len(folders)).astype(int)
    ends = np.clip(ends, [1, 2, 3], [len(folders) - 2, len(folders) - 1, len(folders)])
    ends[1] = max(ends[1], ends[0] + 1)
    order = np.random.default_rng(seed).permutation(len(folders))
    return {
        split: [folders[index] for index in sorted(part)]
        for split, part in zip(SPLITS, np.split(order, ends[:2]), strict=True)
    }


def _require_names_of_their_own(root: Path, folders: list[Path]) -> None:
    seen: dict[str, Path] = {}
    for folder in folders:
        name = unicodedata.normalize("NFC", folder.name)  # "ü" may be one character, or u with two dots
        if name in seen:
            both = " and ".join(str(path.relative_to(root)) for path in (seen[name], folder))
            raise DataError(f"{root}: {both} are two classes with the same name: rename one, or join them.")
        seen[name] = folder


def _read(path: Path, image_size: int) -> np.ndarray | str:
    """The image, or what is wrong with it."""
    try:
        contents = path.read_bytes()
        return _reader(image_size)(tf.constant(contents)).numpy()
    except OSError as error:
        return f"{path} ({error.strerror or error})"
    except tf.errors.InvalidArgumentError as error:
        return f"{path} ({sentence(error).removeprefix('the file ')})"


@functools.lru_cache
def _reader(image_size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from a file's bytes to uint8 [image_size, image_size, 3], as exports read them."""

    def read(contents):
        picture = pictures.decode(contents, 3, ["the file"], image_size)
        return resize(picture[None], image_size, image_size)[0]

    return tf.function(read, autograph=False, input_signature=[tf.TensorSpec([], tf.string)])


def _report(root: Path, problems: list[str], strict: bool) -> None:
    if not problems:
        return
    count = f"{len(problems)} file(s) in {root} cannot be read as JPEG, PNG, BMP or GIF"
    if strict:
        raise DataError(f"{count}: remove or replace them, or leave out --strict: {'; '.join(problems)}")
    logging.warning("%s and are left out (an error with --strict):\n  %s", count, "\n  ".join(problems))


def _require_some(folder: Path, images: Sequence) -> None:
    if not len(images):
        inside = f", only folders ({listed(_folders(folder))})" if _folders(folder) else ""
        raise DataError(f"{folder} has no readable image{inside}: remove the folder, or add images.")


SOURCE = Source(
    load,
    3,
    "your images: DIR/<class>/*, or DIR/train|val|test/<class>/*",
    functools.partial(load, all_classes=True),
)
