"""Writes a run's learning curves as JSON, and draws such curves: python -m studies.curves --run_dir=RUN --json=FILE"""

from collections.abc import Mapping
from typing import Any

from absl import flags, logging

from ml_lstm.command_line import command, devices, records
from ml_lstm.paths import expanded
from ml_lstm.plots.learning_curves import draw_curve
from ml_lstm.runs.comparison import outcome

FLAGS = flags.FLAGS
COMMAND = "studies.curves"


def define_flags() -> None:
    """Defines the flags that a study passes to every measurement."""
    flags.DEFINE_string("run_dir", None, "Directory of a run that was validated.")
    flags.DEFINE_string("json", None, "File to write the curves to.")
    flags.DEFINE_string("data_dir", None, "Not read: curves are in the run.")
    for name in ("run_dir", "json"):
        flags.register_validator(name, bool, f"give --{name}")
    devices.define_flags()


def main() -> None:
    """Writes the accuracy at each meta-validation, on new classes and on those of meta-training."""
    devices.use_as_flagged()
    found = outcome(FLAGS.run_dir)
    records.write_json(
        expanded(FLAGS.json),
        {
            "validation": found.validations,
            "train_classes": found.train_classes,
            "parameters": found.parameters,
            "flags": found.options,
            "commit": records.commit(),
        },
    )


def draw(curves: Mapping[str, Mapping[str, Any]], axes) -> None:
    """Draws curves on meta-train classes in one panel and those on new classes in another, with a common axis.

    Args:
        curves: the command's results, by their names in the legend.
        axes: of matplotlib, an array [1, 2].
    """
    left, right = axes[0]
    right.sharey(left)
    for panel, which, title in ((left, "train_classes", "meta-train classes"), (right, "validation", "new classes")):
        for label, found in curves.items():
            if found[which]:
                draw_curve(panel, found[which], label)
        panel.set_title(title, fontsize="medium")
        panel.set_xlabel("episodes of meta-training")
    left.set_ylabel("accuracy, %")


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
