"""A matrix as colours, with its values in them."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def draw_heat_map(axes: Any, rows: Sequence[str], columns: Sequence[str], values: np.ndarray) -> None:
    """Draws a matrix, with its first row at the top.

    Args:
        axes: of matplotlib.
        rows: names of the rows.
        columns: names of the columns.
        values: [rows, columns]; NaN for missing values, whose cells stay empty.
    """
    values = np.asarray(values, float)
    # Above the grid, which the caller draws when saving the figure.
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
