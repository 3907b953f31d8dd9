"""Kills `train`, and starts it again by the same command until it is done."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.kills import moments, saved
from benchmarks.kills.commands import Commands, own_lines
from benchmarks.kills.moments import Moment, Sign, from_the_start, new_file

INTERVAL = 20
SAVING, LATER = "saving", "later epochs"
_EPOCHS_AHEAD = 2


def flags(run: Path, epochs: int) -> list[str]:
    """A run of seconds: `epochs` meta-validations, with a save after each."""
    return [
        *("--dataset=glyphs", "--image_size=16", "--n_query=2", "--filters=4", "--hidden_units=2", "--inner_steps=1"),
        *("--meta_batch_size=2", "--validation_episodes=10", "--learning_rate=0.01"),
        *(f"--validation_interval={INTERVAL}", f"--episodes={epochs * INTERVAL}", f"--run_dir={run}"),
    ]


def phases(run: Path) -> dict[str, Sign]:
    """The phases of every start, in order."""
    return {
        "starting": from_the_start,
        "first steps": new_file(run, "train/events*"),
        "first validation": new_file(run, "validation/events*"),
        SAVING: new_file(run, "*/unfinished*"),  # the best weights, then the checkpoint to resume from
        LATER: new_file(run, "backup/*.index"),
    }


def reference(commands: Commands, run: Path, epochs: int) -> dict[str, float]:
    """Trains without a kill; returns the seconds of each phase."""
    return moments.durations(commands.start("train", *flags(run, epochs)), phases(run))


def kill_and_go_on(
    commands: Commands,
    run: Path,
    undisturbed: Path,
    epochs: int,
    seconds: dict[str, float],
    drawn: Sequence[Moment],
) -> dict[str, list[dict]]:
    """Kills a run at each of the moments, starts it again by the same command, and finally lets it end.

    Args:
        commands: starts them.
        run: directory of the run.
        undisturbed: directory of the run to compare with.
        epochs: of both.
        seconds: of the phases of `undisturbed`.
        drawn: when to kill.

    Returns:
        `kills` and `checks`, each with its `problems`.
    """
    kills = []
    for moment in drawn:
        running = commands.start("train", *flags(run, epochs))
        length = seconds[moment.phase] * (_EPOCHS_AHEAD / epochs if moment.phase == LATER else 1)
        killed = moments.kill_at(running, moment, phases(run), length)
        finished = killed.finished if killed else running.finish()
        is_saving = any(run.glob("*/unfinished*"))
        kills.append(
            {
                "drawn": moment._asdict(),
                "phase": killed and (SAVING if is_saving else killed.phase),
                "seconds": killed and killed.seconds,
                "left": _left(run) + (", a save half done" if is_saving else ""),
                "problems": own_lines(finished.stderr) + saved.damage(run),
            }
        )
    checks = [{"what": "started once more, it ends", "problems": commands.run("train", *flags(run, epochs)).failure()}]
    checks += as_if_undisturbed(run, undisturbed)
    left = [str(path.relative_to(run)) for path in run.rglob("*unfinished*")]
    checks.append({"what": "no partly written file remains in it", "problems": left})
    return {"kills": kills, "checks": checks}


_COMPARED = {
    "backup": "weights and optimizer are those of a run without kills, bit for bit",
    "checkpoints": "so are the best weights",
    "events": "TensorBoard shows the same as for that run, except speed",
}


def as_if_undisturbed(run: Path, undisturbed: Path) -> list[dict]:
    """A check for each part that `saved.differences` compares."""
    found = saved.differences(run, undisturbed)
    return [{"what": what, "problems": found[name]} for name, what in _COMPARED.items()]


def _left(run):
    """What remains after a kill, in words."""
    if not (run / "flags.json").exists():
        return "no run yet"
    numbers = [int(path.stem.partition("-")[2]) for path in run.glob("backup/episode-*.index")]
    return f"saved at episode {max(numbers)}" if numbers else "nothing saved yet"
