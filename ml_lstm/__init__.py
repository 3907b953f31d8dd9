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

# Errors only: a request that a model refuses would else be two lines of warning from inside the graph. TensorFlow
# reads this when it is first imported; what it writes during that import cannot be silenced.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _turn_onednn_on():
    """oneDNN's kernels are the faster ones on every x86 processor; TensorFlow turns them on by itself only on some.

    It decides when it is first imported, so this comes first. What the environment says is respected.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return
    late = "tensorflow" in sys.modules and "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if late:
        from tensorflow.python.util import _pywrap_util_port

        if not _pywrap_util_port.IsMklEnabled():
            logging.getLogger(__name__).warning(
                "TensorFlow was imported before ml_lstm and runs without oneDNN, at half the speed or less: import "
                "ml_lstm before tensorflow and keras, or set TF_ENABLE_ONEDNN_OPTS=1."
            )


_turn_onednn_on()


def __getattr__(name):
    # Imported at first use, so that what needs no TensorFlow starts without its seconds of loading.
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
