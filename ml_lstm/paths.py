"""Paths as users give them, in flags and in Python."""

import os
from pathlib import Path

from ml_lstm.errors import UserError


def expanded(path: str | os.PathLike) -> Path:
    """A path in which `~` or `~user` at the beginning is a home, as in a shell; of an unknown user it stays."""
    return Path(os.path.expanduser(path))


def for_tensorflow(path: str | os.PathLike) -> Path:
    """`expanded`, for a place that TensorFlow reads or writes.

    Raises:
        UserError: for a name that is not in UTF-8, which TensorFlow cannot open.
    """
    place = expanded(path)
    try:
        str(place).encode()
    except UnicodeEncodeError:
        raise UserError(f"{place}: TensorFlow opens names in UTF-8 only: rename it, or choose another place.") from None
    return place
