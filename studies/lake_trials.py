"""The one-shot classification of a run's export: python -m studies.lake_trials --run_dir=RUN --json=FILE"""

import hashlib
import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from ml_lstm.command_line import command, records
from ml_lstm.data import one_shot_runs
from ml_lstm.data.one_shot_runs import OneShotRun
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded
from ml_lstm.serving.exported import ExportedClassifier, NoPictureError, PictureClassifier

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("run_dir", None, "Directory of a trained run, which is exported to RUN.export.")
    flags.DEFINE_string("data_dir", None, "As for train, if runs are drawn.")
    flags.DEFINE_string("all_runs", None, "Omniglot's all_runs.zip. Unset: runs are drawn by its rule.")
    flags.DEFINE_integer("runs_seed", 0, "Seed of the drawn runs.", lower_bound=0)
    flags.DEFINE_string("json", None, "File to write the result to.")
    flags.mark_flags_as_required(["run_dir", "json"])


def main() -> None:
    """Exports the run, asks the export, and writes which trials were correct."""
    runs = one_shot_runs.published(FLAGS.all_runs) if FLAGS.all_runs else _drawn()
    model = ExportedClassifier(_exported(FLAGS.run_dir))
    right = {run.name: trials(model, run) for run in runs}
    result = summary(right) | {
        "all_runs": hashlib.sha256(expanded(FLAGS.all_runs).read_bytes()).hexdigest() if FLAGS.all_runs else None,
        "runs_seed": None if FLAGS.all_runs else FLAGS.runs_seed,
        **{name: model.card.get(name) for name in ("method", "train_episodes", "flags")},
        "commit": records.commit(),
    }
    records.write_json(expanded(FLAGS.json), result)
    print(f"{result['trials']} trials, error {100 * result['error']:.2f} %")


def _drawn():
    return one_shot_runs.drawn(FLAGS.data_dir, FLAGS.runs_seed)


def _exported(run_dir: str) -> str:
    """The version that `export` writes of a run, in a separate process: this process then contains no method."""
    place = expanded(run_dir)
    models = place.with_name(f"{place.name}.export")
    asked = [sys.executable, "-m", "ml_lstm.export", f"--run_dir={place}", f"--export_dir={models}"]
    ended = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(ended.stdout, end="", flush=True)
    if ended.returncode:
        raise UserError((ended.stdout.splitlines() or ["export failed"])[-1])
    return str(max(models.glob("[0-9]*"), key=lambda version: int(version.name)))


def trials(model: PictureClassifier, run: OneShotRun) -> list[bool]:
    """Whether a model recognises each of a run's test images.

    Raises:
        UserError: for an image that it cannot read, or more characters than the model allows.
    """
    adaptation = model.adapt(list(run.training), [str(place) for place in range(len(run.training))])
    try:
        predictions = [model.classify(adaptation, image).prediction for image in run.test]
    except NoPictureError as error:
        raise UserError(f"{run.name}: {error}") from None
    return [found == str(answer) for found, answer in zip(predictions, run.answers, strict=True)]


def summary(right: dict[str, Sequence[bool]]) -> dict[str, Any]:
    """Error over all trials, and the 95 % interval of Wilson (1927), which has a positive width even for an error of 0.

    Args:
        right: for each run, whether each trial was correct.
    """
    total, wrong = sum(map(len, right.values())), sum(each.count(False) for each in right.values())
    error, z = wrong / total, 1.96
    middle = (error + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(error * (1 - error) / total + (z / (2 * total)) ** 2)
    return {
        "error": error,
        "interval_95": [max(0.0, middle - half), min(1.0, middle + half)],
        "trials": total,
        "errors_by_run": {name: each.count(False) for name, each in right.items()},
    }


if __name__ == "__main__":
    define_flags()
    command.run(main)
