"""Parts shared by all studies: trainings that can be interrupted, a file for each result, a table and a figure."""

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from ml_lstm.command_line import command, records
from ml_lstm.compare import aligned, as_markdown
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded
from ml_lstm.plots.figures import require_matplotlib, saved_figure
from ml_lstm.whole_files import whole

FLAGS = flags.FLAGS
CONFIGS = Path(__file__).parents[1] / "configs"
SCALES = ("small", "hours", "paper")

Results = Mapping[str, Mapping[str, dict[str, Any]]]
"""The results of `evaluate` and similar commands, by training and measurement."""


class Measurement(NamedTuple):
    """A result of a run.

    Attributes:
        name: of the measurement among those of its training.
        flags: of the command besides --run_dir, --data_dir and --json.
        command: the module that measures.
    """

    name: str
    flags: Sequence[str] = ()
    command: str = "ml_lstm.evaluate"


class Training(NamedTuple):
    """A run and its measurements.

    Attributes:
        name: of its directory.
        episodes: of meta-training, 0 if there is nothing to train; the study's duration is estimated from them.
        flags: of `train` besides --episodes, --run_dir and --data_dir.
        measurements: made after training.
        command: the module that trains.
    """

    name: str
    episodes: int
    flags: Sequence[str]
    measurements: Sequence[Measurement] = (Measurement("test"),)
    command: str = "ml_lstm.train"


class Study(NamedTuple):
    """An experiment.

    Attributes:
        name: of its files and its module.
        title: of its part of docs/studies.md.
        question: what it asks and does, and its source; Markdown.
        paper: what the source found, with its numbers; Markdown, empty for a study without a source.
        findings: the results at the scale of docs/results/, and whether they agree; Markdown, empty until then.
        trainings: returns its trainings at a scale, one of SCALES.
        table: returns rows of text, with the header first.
        draw: draws the results into matplotlib axes, or an array of them if `panels` has several.
        panels: rows and columns of the figure.
    """

    name: str
    title: str
    question: str
    trainings: Callable[[str], Sequence[Training]]
    table: Callable[[Results], list[list[str]]]
    draw: Callable[[Results, Any], None]
    paper: str = ""
    findings: str = ""
    panels: tuple[int, int] = (1, 1)


class Step(NamedTuple):
    """A command that remains to be run.

    Attributes:
        command: with its interpreter.
        episodes: of the training that it is part of.
        log: file for its output.
    """

    command: list[str]
    episodes: int
    log: Path


def run(study: Study) -> None:
    """Runs the command of a study."""
    flags.DEFINE_string("out", "runs/studies", "Directory for runs, results, the table and the figure.")
    flags.DEFINE_string("data_dir", None, "As for train. Unset: data are downloaded, or found where they were.")
    flags.DEFINE_enum(
        "scale", "small", SCALES, "small: minutes on two cores; hours: two or three there; paper: the published size."
    )
    flags.DEFINE_boolean("list", False, "Print the remaining commands, a line for each training, and stop.")
    flags.register_validator("out", bool, "give a directory")
    for name in ("out", "data_dir", "scale", "list"):
        FLAGS.register_key_flag_for_module(sys.argv[0], FLAGS[name])  # --help lists those of the program itself
    command.run(lambda: _run(study, expanded(FLAGS.out)))


def _run(study, out):
    if FLAGS.list:
        remaining = list(left(study.trainings(FLAGS.scale), out / FLAGS.scale, FLAGS.data_dir))
        print(f"# {len(remaining)} trainings, {sum(steps[0].episodes for steps in remaining)} episodes in all")
        for steps in remaining:
            print(" && ".join(shlex.join(step.command) for step in steps))
        return
    rows = carry_out(study, out, FLAGS.scale, FLAGS.data_dir)
    print(f"{aligned(rows)}\n  written to {out / study.name}.json, .md and .png")


def carry_out(study: Study, out: Path, scale: str, data_dir: str | None = None) -> list[list[str]]:
    """Trains and measures what is missing, then writes `<name>.json`, `.md` and `.png`.

    Args:
        study: the study to carry out.
        out: directory of these files, and of the runs and single results of each scale.
        scale: one of SCALES.
        data_dir: of train and evaluate.

    Returns:
        The table.

    Raises:
        UserError: if a command failed, or matplotlib is not installed.
    """
    require_matplotlib()
    trainings, place = study.trainings(scale), out / scale
    _do(list(left(trainings, place, data_dir)), len(trainings))
    results = {
        training.name: {each.name: records.read_json(_file(place, training, each)) for each in training.measurements}
        for training in trainings
    }
    rows = study.table(results)
    records.write_json(out / f"{study.name}.json", {"study": study.name, "scale": scale, "results": results})
    with whole(out / f"{study.name}.md") as file:
        file.write_text(as_markdown(rows) + "\n", encoding="utf-8")
    with whole(out / f"{study.name}.png") as file, saved_figure(file, study.panels) as axes:
        study.draw(results, axes)
    return rows


def left(trainings: Sequence[Training], place: Path, data_dir: str | None) -> Iterator[list[Step]]:
    """For each training with missing measurements, the remaining commands.

    Args:
        trainings: of a study.
        place: directory of their runs and results.
        data_dir: of train and evaluate.
    """
    of_data = [f"--data_dir={data_dir}"] if data_dir else []
    for training in trainings:
        # Glyphs need no directory, and `train` rejects one; other data that they are tested on may need it.
        of_training = [] if "--dataset=glyphs" in training.flags else of_data
        of_run = [f"--run_dir={place / training.name}"]
        missing = [each for each in training.measurements if not _file(place, training, each).exists()]
        episodes = [f"--episodes={training.episodes}"] if training.episodes else []
        commands = [
            [training.command, *training.flags, *episodes, *of_training, *of_run],
            *(
                [each.command, *each.flags, *of_data, *of_run, f"--json={_file(place, training, each)}"]
                for each in missing
            ),
        ]
        if missing:
            log = place / f"{training.name}.log"
            yield [Step([sys.executable, "-m", *words], training.episodes, log) for words in commands]


def percent(result: Mapping[str, Any]) -> str:
    """Accuracy and its 95 % interval in %, in the form for tables."""
    return f"{100 * result['accuracy']:.2f} ± {100 * result['confidence_interval_95']:.2f}"


def _file(place, training, measurement) -> Path:
    return place / f"{training.name}.{measurement.name}.json"


def _do(todo, total):
    """Runs all commands, and prints a line for each training."""
    begun, done, episodes = time.monotonic(), 0, sum(steps[0].episodes for steps in todo)
    for number, steps in enumerate(todo, start=1 + total - len(todo)):
        minutes = (time.monotonic() - begun) / 60
        remaining = f", about {minutes / done * (episodes - done):.0f} min left" if done else ""
        print(f"Training {number} of {total}, {steps[0].log.stem}{remaining}", flush=True)
        for step in steps:
            call(step)
        done += steps[0].episodes


def call(step: Step) -> None:
    """Runs a command to its end, with its output in its log; passes SIGTERM on to it.

    Raises:
        UserError: if it fails, or was stopped: a stopped `train` saves and ends without an error.
    """
    stopped = []
    step.log.parent.mkdir(parents=True, exist_ok=True)
    with step.log.open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(step.command, stdout=log, stderr=subprocess.STDOUT)

        def hand_on(number, _):
            stopped.append(number)
            process.terminate()

        before = signal.signal(signal.SIGTERM, hand_on)
        try:
            status = process.wait()
        except KeyboardInterrupt:  # from a terminal, which also sent it to the other process
            process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
    words = step.log.read_bytes()[begin:].decode(errors="replace").splitlines() or [""]
    if status:
        raise UserError(
            f"{step.command[2]} ended with status {status}, {words[-1]} (its whole output is in {step.log}). "
            "The same command continues from there."
        )
    if stopped or any(word.startswith("Stopped at episode") for word in words):
        raise UserError(f"{step.log.stem} was stopped and has saved. The same command continues from there.")
