"""Handles paths that users give, in flags and in Python."""

import os
from pathlib import Path

from ml_lstm.errors import UserError


def expanded(path: str | os.PathLike) -> Path:
    """Expands `~` or `~user` at the beginning of a path, as a shell does; an unknown user's stays unchanged."""
    return Path(os.path.expanduser(path))


def for_tensorflow(path: str | os.PathLike) -> Path:
    """`expanded`, for a path that TensorFlow reads or writes.

    Raises:
        UserError: if the name is not in UTF-8, because TensorFlow cannot open it.
    """
    place = expanded(path)
    try:
        str(place).encode()
    except UnicodeEncodeError:
        raise UserError(f"{place}: TensorFlow opens names in UTF-8 only: rename it, or choose another path.") from None
    return place
