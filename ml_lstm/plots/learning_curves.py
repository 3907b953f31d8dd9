"""Meta-validation accuracy over episodes, a line for each run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_lstm.plots.figures import saved_figure

Curve = Sequence[tuple[int, float]]
"""`(episodes trained, accuracy as a fraction)`, in the order of training."""


def draw_learning_curves(curves: Mapping[str, Curve], path: Path, on_train_classes: Mapping[str, Curve] = {}) -> None:
    """Draws curves, each with a dot at its maximum; curves on meta-train classes are dashed, in the same colour.

    Args:
        curves: of meta-validation, by the name of the run.
        path: of the PNG.
        on_train_classes: of the same problems with meta-train classes, for the runs that have them.

    Raises:
        UserError: if matplotlib is not installed.
    """
    with saved_figure(path) as axes:
        for name, validations in curves.items():
            # Matplotlib omits a name that begins with an underscore from the legend.
            color = draw_curve(axes, validations, f"\u200b{name}")
            if name in on_train_classes:
                label = f"\u200b{name}, meta-train classes"
                draw_curve(axes, on_train_classes[name], label, color=color, linestyle="--", dot=False)
        axes.set_xlabel("episodes of meta-training")
        axes.set_ylabel("meta-validation accuracy, %" if not on_train_classes else "accuracy, %")


def draw_curve(axes, curve: Curve, label: str, dot: bool = True, **style) -> str:
    """Draws one curve.

    Args:
        axes: of matplotlib.
        curve: in fractions; drawn in %.
        label: for the legend.
        dot: whether to mark the maximum.
        **style: of the line.

    Returns:
        The colour of the line.
    """
    episodes, accuracies = zip(*curve, strict=True)
    (line,) = axes.plot(episodes, [100 * value for value in accuracies], label=label, linewidth=1, **style)
    if dot:
        best = max(range(len(accuracies)), key=accuracies.__getitem__)
        axes.plot(episodes[best], 100 * accuracies[best], "o", color=line.get_color())
    return line.get_color()
