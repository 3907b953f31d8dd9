"""Gate values of single parameters over the updates of an episode: a panel for each layer, a curve for each episode."""

from collections.abc import Sequence
from typing import Any

import numpy as np

NAMES = ("forget gate", "input gate")


def draw_gates(axes: Any, layers: Sequence[str], forget_gates: np.ndarray, input_gates: np.ndarray) -> None:
    """Draws forget gates above input gates; all panels of a gate have the same scale, so that layers can be compared.

    Args:
        axes: of matplotlib, [2, L].
        layers: L names.
        forget_gates: [N, T, L], of N episodes and T updates.
        input_gates: [N, T, L].
    """
    for row, name, values in zip(axes, NAMES, (forget_gates, input_gates), strict=True):
        values = np.asarray(values)
        updates = np.arange(1, values.shape[1] + 1)
        low, high = values.min(), values.max()
        margin = 0.05 * (high - low) or 0.01
        for layer, panel in enumerate(row):
            panel.plot(updates, values[:, :, layer].T, marker="." if len(updates) == 1 else None, linewidth=1)
            panel.set_ylim(low - margin, high + margin)
            panel.ticklabel_format(axis="y", useOffset=False)
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.set_title(layers[layer], fontsize="medium")
            panel.set_xlabel("update")
        row[0].set_ylabel(name)
