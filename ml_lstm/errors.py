"""What is raised for a problem that the user can mend, and how TensorFlow's errors are told."""

import os
import re


class UserError(ValueError):
    """Its message is one line: what is wrong, where, what to do. Commands print it and exit with `status`."""

    status = 1


class TryAgainError(UserError):
    """Nothing is wrong with what was asked for: the same command may do next time."""

    status = os.EX_TEMPFAIL


def sentence(error: Exception) -> str:
    """What a `tf.errors.OpError` says, without where in the graph and where an assertion's data begin and end."""
    line = error.message.split("\n\t [[")[0].splitlines()[-1]
    line = re.sub(r"\{\{.*?\}\}|\[Op:.*|\(0\) \w+: |assertion failed: |InvalidArgumentError: ", "", line)
    return " ".join(re.sub(r"[\[\]]", "", line).split())


def sentence_of(error: Exception) -> str:
    """The first line of what another library's error says, or its kind if it says nothing."""
    (line, *_) = str(error).strip().splitlines() or [type(error).__name__]
    return line
