"""The exported SavedModel: its signatures, its warm-up requests, and the export itself."""

import importlib

__all__ = ["MAX_PIXELS", "ServingModule", "export_version"]

# Imported at first use: code that writes an export needs the methods; code that reads one, like a server, must not.
_HOMES = {
    "MAX_PIXELS": "ml_lstm.data.pictures",
    "ServingModule": "ml_lstm.serving.signatures",
    "export_version": "ml_lstm.serving.export",
}


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
