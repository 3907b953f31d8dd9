"""Meta-validation accuracy over episodes, a line a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_lstm.plots.figures import saved_figure

Curve = Sequence[tuple[int, float]]
"""`(episodes trained, accuracy as a fraction)`, in the order of training."""


def draw_learning_curves(curves: Mapping[str, Curve], path: Path, on_train_classes: Mapping[str, Curve] = {}) -> None:
    """Draws curves, each with a dot where it is highest, and in the same colour, dashed, that on meta-train classes.

    Args:
        curves: of meta-validation, by the name of the run.
        path: of the picture, a PNG.
        on_train_classes: of the same problems of meta-train classes, for those runs that have it.

    Raises:
        UserError: if matplotlib is not installed.
    """
    with saved_figure(path) as axes:
        for name, validations in curves.items():
            # A name that begins with an underscore would be left out of the legend.
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
        dot: whether to mark where it is highest.
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
