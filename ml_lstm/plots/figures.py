"""Figures with axes, by matplotlib, which is an extra."""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_lstm.errors import UserError


def require_matplotlib() -> None:
    """Finds out before long work whether figures can be drawn after it.

    Raises:
        UserError: if matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("Figures need matplotlib: pip install 'ml_lstm[plots]'.")


@contextlib.contextmanager
def saved_figure(path: Path) -> Iterator[Any]:
    """Gives axes of matplotlib to draw into, and writes them to a PNG in the end.

    Names in the legend are taken word for word: `$` is a dollar sign.

    Raises:
        UserError: if matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    try:
        yield axes
        axes.grid(alpha=0.3)
        for text in axes.legend(fontsize="small").get_texts():
            text.set_parse_math(False)
        figure.tight_layout()
        figure.savefig(path, format="png", dpi=150)
    finally:
        pyplot.close(figure)
