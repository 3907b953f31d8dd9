"""What all studies share: trainings that may be cut short, a file for each result, a table and a figure."""

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
"""What `evaluate` and its like wrote down, by training and measurement."""


class Measurement(NamedTuple):
    """A result of a run.

    Attributes:
        name: of it among those of its training.
        flags: of the command beside --run_dir, --data_dir and --json.
        command: the module that measures.
    """

    name: str
    flags: Sequence[str] = ()
    command: str = "ml_lstm.evaluate"


class Training(NamedTuple):
    """A run and what is measured of it.

    Attributes:
        name: of its directory.
        episodes: of meta-training, 0 where there is nothing to train; of those follows how long the study will take.
        flags: of `train` beside --episodes, --run_dir and --data_dir.
        measurements: made when it is trained.
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
        question: what it asks and does, and where that is from; Markdown.
        paper: what the source found, with its numbers; Markdown, empty for a study of our own.
        findings: what ours found at the scale that docs/results/ keeps, and if that agrees; Markdown, empty until then.
        trainings: that it has at a scale, one of SCALES.
        table: rows of text, the head first.
        draw: draws the results into axes of matplotlib, or an array of them where `panels` are several.
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
    """A command that is left to do.

    Attributes:
        command: with its interpreter.
        episodes: of the training that it is part of.
        log: file for what it says.
    """

    command: list[str]
    episodes: int
    log: Path


def run(study: Study) -> None:
    """Is the command of a study."""
    flags.DEFINE_string("out", None, "Directory of the study: its runs, its results, and what comes of them.")
    flags.DEFINE_string("data_dir", None, "As for train. Unset: data are downloaded, or looked for where they were.")
    flags.DEFINE_enum(
        "scale", "small", SCALES, "small: minutes on two cores; hours: two or three there; paper: the published size."
    )
    flags.DEFINE_boolean("list", False, "Print what is left to do, a line a training, instead of doing it.")
    flags.register_validator("out", bool, "give the directory of the study")
    command.run(lambda: _run(study, expanded(FLAGS.out)))


def _run(study, out):
    if FLAGS.list:
        for steps in left(study.trainings(FLAGS.scale), out / FLAGS.scale, FLAGS.data_dir):
            print(" && ".join(shlex.join(step.command) for step in steps))
        return
    rows = carry_out(study, out, FLAGS.scale, FLAGS.data_dir)
    print(f"{aligned(rows)}\n  written to {out / study.name}.json, .md and .png")


def carry_out(study: Study, out: Path, scale: str, data_dir: str | None = None) -> list[list[str]]:
    """Trains and measures what is not there yet, then writes `<name>.json`, `.md` and `.png`.

    Args:
        study: to carry out.
        out: directory of those, and of the runs and single results of each scale.
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
    """For each training that is not all measured yet, the commands that are left.

    Args:
        trainings: of a study.
        place: directory of their runs and results.
        data_dir: of train and evaluate.
    """
    of_data = [f"--data_dir={data_dir}"] if data_dir else []
    for training in trainings:
        # Glyphs come from no directory, and `train` refuses one; other data that they are tested on may.
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
    """Accuracy and its 95 % interval as a table has them, in %."""
    return f"{100 * result['accuracy']:.2f} ± {100 * result['confidence_interval_95']:.2f}"


def _file(place, training, measurement) -> Path:
    return place / f"{training.name}.{measurement.name}.json"


def _do(todo, total):
    """Runs all commands, a line to each training."""
    begun, done, episodes = time.monotonic(), 0, sum(steps[0].episodes for steps in todo)
    for number, steps in enumerate(todo, start=1 + total - len(todo)):
        minutes = (time.monotonic() - begun) / 60
        remaining = f", about {minutes / done * (episodes - done):.0f} min left" if done else ""
        print(f"Training {number} of {total}, {steps[0].log.stem}{remaining}", flush=True)
        for step in steps:
            call(step)
        done += steps[0].episodes


def call(step: Step) -> None:
    """Runs a command to its end, with its words in its log; SIGTERM to this process is handed on.

    Raises:
        UserError: if it fails, or was stopped: `train` then saves and ends as if all were well.
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
        except KeyboardInterrupt:  # from a terminal, which sent it to the other too
            process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
    words = step.log.read_bytes()[begin:].decode(errors="replace").splitlines() or [""]
    if status:
        raise UserError(
            f"{step.command[2]} ended with status {status}, {words[-1]} (all that it said is in {step.log}). "
            "The same command goes on from there."
        )
    if stopped or any(word.startswith("Stopped at episode") for word in words):
        raise UserError(f"{step.log.stem} was stopped and has saved. The same command goes on from there.")
