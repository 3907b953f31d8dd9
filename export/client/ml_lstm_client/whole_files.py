"""Files that are written whole or not at all.

The client, which stands alone, has a copy of this file; `tests/export/copies_test.py` holds them together.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives a file to write in place of `path`, which is then renamed: a reader sees the old file or the new one,
    never a part, and what cannot be written, as the disk is full say, leaves the old one.

    A link is followed; what is no file, a pipe say, is written to itself.

    Raises:
        OSError: if it cannot be written; its `filename` is `path`.
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
    """Returns when what was written to a file or a directory would last through a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
