"""Writes files completely or not at all.

The client is self-contained and has a copy of this file; `tests/export/copies_test.py` checks that they are equal.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives a temporary file to write, which is then renamed to `path`.

    A reader sees the old file or the new one, never a part. If writing fails, for example on a full disk, the old file
    stays. Links are followed; a path that is not a regular file, for example a pipe, is written directly.

    Raises:
        OSError: if the file cannot be written; its `filename` is `path`.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        yield temporary
        bring_to_disk(temporary)
        os.replace(temporary, place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # a full disk does not name the file
    finally:
        temporary.unlink(missing_ok=True)


def bring_to_disk(path: Path) -> None:
    """Flushes a file or directory to disk, so that its contents survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
