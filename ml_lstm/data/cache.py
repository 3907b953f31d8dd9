"""A cache of decoded images, so that the next start does not decode them again."""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import logging

from ml_lstm.data.prepared import one_line
from ml_lstm.paths import expanded

Arrays = dict[str, np.ndarray]


def place(cache_dir: str | None) -> Path:
    """The cache directory; for None, `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`."""
    return expanded(cache_dir or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "ml_lstm"))


def digest(identity: object) -> str:
    """A hash of 16 characters of `identity`, which must be serializable to JSON."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


def file(directory: Path, image_size: int, cache_dir: str | None, made_by: object) -> Path:
    """The cache file's path. Its name changes with everything that the decoded images depend on.

    Args:
        directory: `<name>/<version>/`; all its files are part of the hash.
        image_size: size of the images.
        cache_dir: the cache directory, see `place`.
        made_by: everything else that affects the images, serializable to JSON: the decoder's settings, and a format
            number that is incremented whenever the same files would give different arrays.
    """
    sources = [(path.name, path.stat()) for path in sorted(directory.iterdir())]
    identity = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in sources]
    name = f"{directory.parent.name}-{directory.name}-{image_size}px-{digest([made_by, identity])}.npz"
    return place(cache_dir) / name


def load(path: Path, names: tuple[str, ...], title: str, fits: Callable[[Arrays], bool]) -> Arrays | None:
    """The cached arrays; None if there are none, or if the file is damaged (found by its CRCs).

    Args:
        path: from `file`.
        names: names of the arrays.
        title: name of the data set, for warnings.
        fits: returns whether the arrays have the expected shapes.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in names}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logging.warning("Decoding %s again: cache %s cannot be read (%s).", title, path, one_line(error))
        return None
    if not fits(arrays):
        logging.warning("Decoding %s again: cache %s holds other images.", title, path)
        return None
    return arrays


def forget_others(path: Path, start: str) -> None:
    """If `path` was saved, deletes the files that it replaces: those beside it whose names begin with `start`."""
    for other in path.parent.glob(f"{start}*.npz") if path.exists() else ():
        if other != path:
            other.unlink(missing_ok=True)


def save(path: Path, arrays: Arrays, title: str) -> None:
    """Writes a temporary file and renames it, so that no reader sees half a file. A failure is only a warning."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as written:
            temporary = written.name
            np.savez(written, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        logging.warning("%s is not cached, so the next start decodes it again: %s.", title, one_line(error))
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
