"""Selects the entries of a user's folders, in training, by `adapt` and by the client.

The client is self-contained and has a copy of this file; `tests/export/copies_test.py` checks that they are equal.
"""

from pathlib import Path

NOT_THEIRS = {
    "__MACOSX",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "Thumbs.db",
    "desktop.ini",
}
"""Names that archivers and operating systems leave behind."""


def visible(directory: Path) -> list[Path]:
    """The entries of a directory, sorted, without `NOT_THEIRS` and names that begin with a dot.

    Raises:
        OSError: if the directory cannot be read.
    """
    entries = sorted(directory.iterdir())
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in NOT_THEIRS]


def listed(paths: list[Path], most: int = 5) -> str:
    """The names of some paths, for a message."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(path.name for path in paths[:most]) + more
