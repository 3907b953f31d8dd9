"""What commands write down: JSON that is whole or not there, and the commit that it was made by."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any


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


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes `values` as `whole` does."""
    with whole(path) as place:
        place.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def commit() -> str | None:
    """The git commit of this code, with "+" if files differ from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")
