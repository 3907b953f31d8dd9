"""What of a user's folders is looked at, in training, by `adapt` and by the client.

The client, which stands alone, has a copy of this file; `tests/export/copies_test.py` holds them together.
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
    """The entries of a directory, sorted, without those of `NOT_THEIRS` and those whose names begin with a dot.

    Raises:
        OSError: if it cannot be read.
    """
    entries = sorted(directory.iterdir())
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in NOT_THEIRS]


def listed(paths: list[Path], most: int = 5) -> str:
    """The names of some paths, for a message."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(path.name for path in paths[:most]) + more
