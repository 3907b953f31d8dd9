"""Parts shared by the studies of Furrer, Erginbaş & Kayaalp: one setting, a table, and learning curves."""

import re
from collections.abc import Mapping, Sequence

from studies import curves
from studies.harness import CONFIGS, Measurement, Results, Training, percent

SOURCE = "Furrer, Erginbaş & Kayaalp, *Meta-Learner LSTM for Few Shot Learning*"

SETTING = """5-way 5-shot on CIFAR-FS, otherwise as in Ravi & Larochelle (`configs/base/meta_lstm.flags`): five
first-order updates of the whole network, one episode in a meta-step. `hours` has 4,000 episodes and 16 filters in a
layer instead of 100,000 and 32. Both learning curves are measured in the same way: that on meta-train classes too uses
unchanged images and queries normalised by the support set (`--validate_train_classes`)."""

_PROBLEM = ("--n_way=5", "--k_shot=5", "--validate_train_classes")
_CIFAR_FS = ("--dataset=cifar_fs", "--image_size=32", "--inner_steps=5", "--validation_episodes=100")
# For each scale: episodes, flags, augmentation, flags of `evaluate`.
_SCALES = {
    "small": (
        120,
        (
            *("--dataset=glyphs", "--image_size=16", "--filters=4", "--n_query=5", "--inner_steps=2"),
            *("--validation_interval=40", "--validation_episodes=10"),
        ),
        "affine",
        ("--episodes=20",),
    ),
    "hours": (4000, (*_CIFAR_FS, "--filters=16", "--validation_interval=400"), "photo", ()),
    "paper": (100_000, (*_CIFAR_FS, "--validation_interval=500"), "photo", ()),
}


def name(cell: str = "meta_lstm", hidden_units: int = 20, augmented: bool = False, changed: Sequence[str] = ()) -> str:
    """The name of a training; the same in each study, so that studies with the same --out share common trainings."""
    units = () if cell == "sgd" else (f"{hidden_units}_units",)
    changes = (re.sub(r"[^a-z0-9.]+", "_", flag.removeprefix("--")) for flag in changed)
    return "_".join((cell, *units, "augmented" if augmented else "as_they_are", *changes))


def training(
    scale: str,
    cell: str = "meta_lstm",
    hidden_units: int = 20,
    augmented: bool = False,
    changed: Sequence[str] = (),
) -> Training:
    """The setting with a cell, its size, and images augmented or not.

    Args:
        scale: one of `harness.SCALES`.
        cell: of `--cell`.
        hidden_units: of the cell; `sgd` has none.
        augmented: whether meta-training images are augmented.
        changed: other flags that differ from the setting.
    """
    episodes, flags, augment, evaluation = _SCALES[scale]
    units = () if cell == "sgd" else (f"--hidden_units={hidden_units}",)
    return Training(
        name(cell, hidden_units, augmented, changed),
        episodes,
        (
            *(f"--flagfile={CONFIGS / 'base' / 'meta_lstm.flags'}", *_PROBLEM, *flags, f"--cell={cell}", *units),
            *(f"--augment={augment if augmented else 'none'}", *changed),
        ),
        (Measurement("test", evaluation), Measurement("curves", (), curves.COMMAND)),
    )


def table(first: str, names: Mapping[str, str], results: Results, published: Mapping[str, str] = {}) -> list[list[str]]:
    """A row for each training: the test accuracy of its best weights, and the ends of its curves.

    Args:
        first: header of the column of labels.
        names: of the trainings, by label.
        results: of the study.
        published: accuracy in the source, by label; without it the column is omitted.
    """
    head = ["test, best weights", "best meta-validation", "last meta-validation", "last on meta-train classes"]
    rows = [[first, *(["published, mini-ImageNet"] if published else ()), *head]]
    for label, training in names.items():
        found = results[training]["curves"]
        best = max(found["validation"], key=lambda point: point[1])
        rows.append(
            [
                label,
                *([published[label]] if published else ()),
                percent(results[training]["test"]),
                f"{100 * best[1]:.1f} at {best[0]:,}",
                *(f"{100 * found[which][-1][1]:.1f}" for which in ("validation", "train_classes")),
            ]
        )
    return rows


def draw(names: Mapping[str, str], results: Results, axes) -> None:
    """The learning curve of each training, see `curves.draw`.

    Args:
        names: of the trainings, by label.
        results: of the study.
        axes: of matplotlib, an array [1, 2].
    """
    curves.draw({label: results[training]["curves"] for label, training in names.items()}, axes)
