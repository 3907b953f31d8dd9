"""What a model or a server answers in place of an answer: a code of gRPC and a sentence."""

from typing import TYPE_CHECKING

import grpc

from ml_lstm.errors import sentence

if TYPE_CHECKING:  # who reads JSON for the server starts without TensorFlow
    import tensorflow as tf

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Refusal(Exception):
    """Why a request is not answered.

    Attributes:
        code: what kind of problem it is.
        message: a sentence that says what is wrong and, if it is the caller's to mend, what to do.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> Refusal:
    """A refusal of a request that is wrong in itself."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)


def refusal_by(error: "tf.errors.OpError") -> Refusal:
    """What TensorFlow's error says to the caller of the model."""
    return Refusal(_CODES[error.error_code], sentence(error))


def shortened(words: str, length: int = 100) -> str:
    """A caller's own words, which may be of any length, for an answer or a log."""
    return words if len(words) <= length else f"{words[: length - 3]}..."
