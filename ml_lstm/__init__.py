"""Few-shot meta-learning for TensorFlow: the LSTM meta-learner and the methods it is compared with."""

import importlib
import os

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
]

# Errors only: a request that a model refuses would else be two lines of warning from inside the graph. TensorFlow
# reads this when it is first imported; what it writes during that import cannot be silenced.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def __getattr__(name):
    # Imported at first use, so that what needs no TensorFlow starts without its seconds of loading.
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
