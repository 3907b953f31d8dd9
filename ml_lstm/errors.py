"""Errors that the user can fix, and the text of TensorFlow's errors."""

import os
import re


class UserError(ValueError):
    """A problem that the user can fix. Its message is one line: what is wrong, where, what to do.

    Commands print the message and exit with `status`.
    """

    status = 1


class TryAgainError(UserError):
    """A temporary problem: the same command may succeed the next time."""

    status = os.EX_TEMPFAIL


def sentence(error: Exception) -> str:
    """The message of a `tf.errors.OpError`, without its notes on the graph and on an assertion's data."""
    line = error.message.split("\n\t [[")[0].splitlines()[-1]
    line = re.sub(r"\{\{.*?\}\}|\[Op:.*|\(0\) \w+: |assertion failed: |InvalidArgumentError: ", "", line)
    return " ".join(re.sub(r"[\[\]]", "", line).split())


def sentence_of(error: Exception) -> str:
    """The first line of another library's error message, or the error's type if it has no message."""
    (line, *_) = str(error).strip().splitlines() or [type(error).__name__]
    return line
