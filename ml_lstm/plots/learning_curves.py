"""Meta-validation accuracy over episodes, a line a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_lstm.plots.figures import saved_figure


def draw_learning_curves(curves: Mapping[str, Sequence[tuple[int, float]]], path: Path) -> None:
    """Draws curves, each with a dot where it is highest.

    Args:
        curves: `(episodes trained, accuracy as a fraction)` of each meta-validation, by the name of the run.
        path: of the picture, a PNG.

    Raises:
        UserError: if matplotlib is not installed.
    """
    with saved_figure(path) as axes:
        for name, validations in curves.items():
            episodes, accuracies = zip(*validations, strict=True)
            best = max(range(len(accuracies)), key=accuracies.__getitem__)
            # A name that begins with an underscore would be left out of the legend.
            (line,) = axes.plot(episodes, [100 * value for value in accuracies], label=f"\u200b{name}", linewidth=1)
            axes.plot(episodes[best], 100 * accuracies[best], "o", color=line.get_color())
        axes.set_xlabel("episodes of meta-training")
        axes.set_ylabel("meta-validation accuracy, %")
