"""Compares runs: python -m ml_lstm.compare RUN RUN [--png=FILE --csv=FILE --markdown=FILE --json=FILE]"""

import csv
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from absl import flags, logging

from ml_lstm.command_line import command, devices, records
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded
from ml_lstm.plots.learning_curves import draw_learning_curves
from ml_lstm.runs.comparison import Outcome, differing, outcome
from ml_lstm.whole_files import whole

FLAGS = flags.FLAGS

Rows = list[list[str]]
"""The rows of a table, the header first."""


def define_flags() -> None:
    """Defines the flags of `compare`; the run directories are positional arguments."""
    flags.DEFINE_string("png", None, "File to plot the runs' learning curves to; needs matplotlib.")
    flags.DEFINE_string("csv", None, "CSV file to write the table to, one line per run, accuracies as fractions.")
    flags.DEFINE_string("markdown", None, "Markdown file to write the tables to.")
    flags.DEFINE_string("json", None, "JSON file to write the results, learning curves and options of all runs to.")
    devices.define_flags()


def main(runs: Sequence[str]) -> None:
    """Prints the results of the runs and the options in which they differ, and writes both to files."""
    if not runs:
        raise UserError("Give the directories of one or more runs: python -m ml_lstm.compare RUN RUN.")
    devices.use_as_flagged()
    outcomes = [outcome(run) for run in runs]
    tables = [results(outcomes)] + ([options(outcomes)] if differing(outcomes) else [])
    print("\n\n".join(map(aligned, tables)))
    if FLAGS.markdown is not None:
        with whole(expanded(FLAGS.markdown)) as place:
            place.write_text("\n\n".join(map(as_markdown, tables)) + "\n", encoding="utf-8")
    if FLAGS.csv is not None:
        with whole(expanded(FLAGS.csv)) as place, place.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(whole_rows(outcomes))
    if FLAGS.json is not None:
        record = {"commit": records.commit(), "runs": [found._asdict() for found in outcomes]}
        records.write_json(expanded(FLAGS.json), record)
    if FLAGS.png is not None:
        curves = {found.name: found.validations for found in outcomes if found.validations}
        on_train_classes = {found.name: found.train_classes for found in outcomes if found.train_classes}
        if not curves:
            raise UserError("None of the runs was validated, so there are no learning curves to plot: leave out --png.")
        with whole(expanded(FLAGS.png)) as place:
            draw_learning_curves(curves, place, on_train_classes)
    print(f"\nNext:\n  {_tensorboard(runs)}")


def results(outcomes: Sequence[Outcome]) -> Rows:
    """The results of the runs, in the given order."""
    head = ["run", "accuracy, %", "of", "episodes", "minutes", "parameters"]
    return [
        head,
        *(
            [
                found.name,
                f"{100 * found.accuracy:.2f}" + ("" if found.interval is None else f" ± {100 * found.interval:.2f}"),
                found.measured,
                f"{found.episodes:,}",
                "?" if found.seconds is None else f"{found.seconds / 60:.1f}",
                f"{found.parameters:,}",
            ]
            for found in outcomes
        ),
    ]


def options(outcomes: Sequence[Outcome]) -> Rows:
    """The options in which the runs differ, one per row; "-" if an option does not apply to a run."""
    head = ["option", *(found.name for found in outcomes)]
    return [head, *([f"--{name}", *map(_shown, values)] for name, values in differing(outcomes).items())]


def whole_rows(outcomes: Sequence[Outcome]) -> list[list]:
    """The full table, one row per run, with unrounded numbers and empty cells for missing values."""
    names = differing(outcomes)
    head = ["run", "accuracy", "confidence_interval_95", "of", "train_episodes", "train_seconds", "parameters", *names]
    rows = [[*found[:7], *(_cell(found.options.get(name)) for name in names)] for found in outcomes]
    return [head, *rows]


def _cell(value):
    return "" if value is None else _shown(value)


def _shown(value):
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def aligned(rows: Rows) -> str:
    """A table for a terminal: first column left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if index else cell.ljust(width) for index, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    )


def as_markdown(rows: Rows) -> str:
    """A table in Markdown."""
    head, *others = ([cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *others))


def _tensorboard(runs):
    """The TensorBoard command that shows the learning curves of the runs together."""
    places = [Path(os.path.realpath(expanded(run))) for run in runs]
    if len(places) == 1:
        return f"tensorboard --logdir={shlex.quote(str(places[0]))}"
    if len({place.parent for place in places}) == 1:
        return f"tensorboard --logdir={shlex.quote(str(places[0].parent))}"
    named = ",".join(f"{place.name}-{number}:{place}" for number, place in enumerate(places, start=1))
    return f"tensorboard --logdir_spec={shlex.quote(named)}"


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main, takes_words=True)
