"""Kills `export` while it writes the next version."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from benchmarks.kills import moments, saved
from benchmarks.kills.commands import Commands, own_lines
from benchmarks.kills.moments import Moment, Sign, from_the_start, new_file
from benchmarks.kills.serving import Server, answer_of_version


def flags(run: Path, models: Path) -> list[str]:
    return [f"--run_dir={run}", f"--export_dir={models}"]


def phases(models: Path) -> dict[str, Sign]:
    """The phases in order; "writing" lasts until the version exists."""
    return {
        "starting": from_the_start,
        # By its own process number: it also removes the remains of a killed export, which changes that directory.
        "writing": lambda running: any(models.glob(f".writing-*-{running.process.pid}")),
        "renamed": new_file(models, "[0-9]*"),
    }


def reference(commands: Commands, run: Path, models: Path) -> dict[str, float]:
    """Exports version 1 without a kill; returns the seconds of each phase."""
    return moments.durations(commands.start("export", *flags(run, models)), phases(models))


def kill_and_export_again(
    commands: Commands, run: Path, models: Path, seconds: dict[str, float], drawn: Sequence[Moment]
) -> dict[str, list[dict]]:
    """Kills an export at each of the moments, serves the remains, and exports once more.

    Args:
        commands: starts them.
        run: the run to export.
        models: a directory with version 1.
        seconds: of the phases of that version's export.
        drawn: when to kill.

    Returns:
        `kills` and `checks`, each with its `problems`.
    """
    kills, answer, whole = [], answer_of_version(models / "1"), {1: saved.tree(models / "1")}
    for moment in drawn:
        running = commands.start("export", *flags(run, models))
        killed = moments.kill_at(running, moment, phases(models), seconds[moment.phase])
        finished = killed.finished if killed else running.finish()
        kills.append(
            {
                "drawn": moment._asdict(),
                "phase": killed and killed.phase,
                "seconds": killed and killed.seconds,
                "left": _left(models),
                "problems": own_lines(finished.stderr) + _wrong_versions(models, answer, whole),
            }
        )
    there = _versions(models)
    server = Server(commands, models)
    running = server.start()
    served = server.versions() if moments.reached(running, server.ready) else []
    running.kill()
    problems = [] if served == there[-1:] else [f"{served} is served"]
    checks = [{"what": "a server on the remains serves the newest complete version", "problems": problems}]
    finished = commands.run("export", *flags(run, models))
    problems = finished.failure() + _wrong_versions(models, answer, whole)
    problems += [] if len(_versions(models)) == len(there) + 1 else ["no new version"]
    checks.append(
        {
            "what": "the next export succeeds, all versions answer the same, and earlier ones have the same bytes",
            "problems": problems,
        }
    )
    checks.append({"what": "it has removed the remains", "problems": _unfinished(models)})
    return {"kills": kills, "checks": checks}


def _versions(models):
    return sorted(int(path.name) for path in models.glob("[0-9]*"))


def _unfinished(models):
    return sorted(path.name for path in models.glob(".*"))


def _left(models):
    unfinished = len(_unfinished(models))
    return f"versions {_versions(models)}" + (f", {unfinished} of `.writing-*`" if unfinished else "")


def _wrong_versions(models, answer, whole):
    """Problems of the existing versions; `whole` has the files of those that answered before."""
    problems = []
    for version in _versions(models):
        files = saved.tree(models / str(version))
        if whole.get(version) == files:
            continue
        try:
            right = version not in whole and answer_of_version(models / str(version)) == answer
            problems += [] if right else [f"version {version} has changed, or answers otherwise"]
        except (OSError, ValueError, tf.errors.OpError) as error:
            problems.append(f"version {version} cannot be loaded: {error}")
        else:
            whole[version] = files
    return problems
