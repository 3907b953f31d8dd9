"""Errors of a model or a server: a gRPC status code and a sentence."""

from typing import TYPE_CHECKING

import grpc

from ml_lstm.errors import sentence

if TYPE_CHECKING:  # the process that reads JSON for the server starts without TensorFlow
    import tensorflow as tf

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Refusal(Exception):
    """The reason why a request is not answered.

    Attributes:
        code: the kind of problem.
        message: a sentence that says what is wrong and, if the caller can fix it, what to do.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> Refusal:
    """The error for an invalid request."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)


def refusal_by(error: "tf.errors.OpError") -> Refusal:
    """Converts TensorFlow's error for the caller of the model."""
    return Refusal(_CODES[error.error_code], sentence(error))


def shortened(words: str, length: int = 100) -> str:
    """Truncates a caller's text, which may have any length, for an answer or a log."""
    return words if len(words) <= length else f"{words[: length - 3]}..."
