"""A matrix as colours with its numbers in them."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def draw_heat_map(axes: Any, rows: Sequence[str], columns: Sequence[str], values: np.ndarray) -> None:
    """Draws a matrix, its first row above.

    Args:
        axes: of matplotlib.
        rows: names of the rows.
        columns: names of the columns.
        values: [rows, columns]; NaN for what there is not, which stays empty.
    """
    values = np.asarray(values, float)
    # Above the grid, which whoever saves the figure draws.
    image = axes.imshow(values, cmap="viridis", aspect="auto", zorder=2)
    axes.set_axisbelow(True)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    for place, value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = image.norm(value) < 0.6
            axes.text(
                *reversed(place), f"{value:.1f}", ha="center", va="center", color="white" if dark else "black", zorder=3
            )
