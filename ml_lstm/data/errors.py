"""The error for a data problem that the user can fix."""

from ml_lstm.errors import UserError


class DataError(UserError):
    """A data problem that the user can fix. The message is one line: what, where, what to do."""
