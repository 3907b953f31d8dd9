"""Few-shot meta-learning for TensorFlow: the LSTM meta-learner and the methods it is compared with."""

import importlib
import logging
import os
import platform
import sys

__version__ = "0.1.0"
__all__ = [
    "cells",
    "command_line",
    "data",
    "distribution",
    "evaluation",
    "learners",
    "methods",
    "plots",
    "runs",
    "serving",
    "training",
    "zoo",
]

# Errors only: otherwise each request that a model rejects would log two lines of warnings from inside the graph.
# TensorFlow reads this when it is first imported; what it prints during that import cannot be suppressed.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _turn_onednn_on():
    """Turns oneDNN on: its kernels are faster on every x86 processor, but TensorFlow uses them by default only on some.

    TensorFlow decides when it is first imported, so this comes first. A value in the environment is respected.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return
    late = "tensorflow" in sys.modules and "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if late:
        from tensorflow.python.util import _pywrap_util_port

        if not _pywrap_util_port.IsMklEnabled():
            logging.getLogger(__name__).warning(
                "TensorFlow was imported before ml_lstm and runs without oneDNN, at most half as fast: import "
                "ml_lstm before tensorflow and keras, or set TF_ENABLE_ONEDNN_OPTS=1."
            )


_turn_onednn_on()


def __getattr__(name):
    # Imported at first use, so that code that does not need TensorFlow does not wait seconds for its import.
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
