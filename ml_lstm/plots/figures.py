"""Figures with axes, drawn by matplotlib, an optional dependency."""

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_lstm.errors import UserError


def require_matplotlib() -> None:
    """Checks before long work that figures can be drawn after it.

    Raises:
        UserError: if matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("Figures need matplotlib: pip install 'ml_lstm[plots]'.")


@contextlib.contextmanager
def saved_figure(path: Path, panels: tuple[int, int] = (1, 1)) -> Iterator[Any]:
    """Provides matplotlib axes to draw into, and saves them as a PNG at the end.

    The legend shows names word for word: `$` is a dollar sign. Axes without a labelled line have no legend. Several
    axes with the same labels share one, below all of them.

    Args:
        path: of the PNG.
        panels: rows and columns of axes; several axes come as an array [rows, columns].

    Raises:
        UserError: if matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows, columns = panels
    size = max(8, 3.5 * columns), max(5, 2.5 * rows)
    figure, grid = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    try:
        yield grid if grid.size > 1 else grid[0, 0]
        for axes in grid.flat:
            axes.grid(alpha=0.3)
        for legend in _legends(figure, grid.flat):
            for text in legend.get_texts():
                text.set_parse_math(False)
        figure.savefig(path, format="png", dpi=150)
    finally:
        pyplot.close(figure)


def _legends(figure, panels):
    labelled = [axes for axes in panels if axes.get_legend_handles_labels()[1]]
    if len(labelled) > 1 and len({tuple(axes.get_legend_handles_labels()[1]) for axes in labelled}) == 1:
        handles, labels = labelled[0].get_legend_handles_labels()
        return [figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize="small")]
    return [axes.legend(fontsize="small") for axes in labelled]
