"""Drawings of an episode with its answers, and of a data set."""

import importlib

__all__ = ["contact_sheet", "episode_sheet"]


def __getattr__(name):
    # Imported at first use: a sheet of a data set needs ml_lstm.data, while sheets of answers are drawn without it.
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
