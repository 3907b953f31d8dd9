"""Starts two trainers on one run."""

import time
from pathlib import Path

from benchmarks.kills import training
from benchmarks.kills.commands import Commands
from benchmarks.kills.moments import new_file, reached

_WORDS = "is being trained by another process"


def train_together(commands: Commands, run: Path, undisturbed: Path, epochs: int) -> dict[str, list[dict]]:
    """Starts two at once, a third beside the remaining one, kills that one, and trains on; returns the `checks`."""
    flags = training.flags(run, epochs)
    pair = [commands.start("train", *flags) for _ in range(2)]
    while not any(running.ended for running in pair):
        time.sleep(0.01)
    refused, first = sorted(pair, key=lambda running: not running.ended)
    checks = [{"what": "of two at once one fails with one line", "problems": refused.finish().refusal_without(_WORDS)}]
    late = commands.run("train", *flags)
    checks.append({"what": "so does one that starts later", "problems": late.refusal_without(_WORDS)})
    undisturbed_so_far = not first.ended and reached(first, new_file(run, "backup/*.index"))
    killed = first.kill()
    problems = [] if undisturbed_so_far and killed.status < 0 else [f"it has ended: {killed}"]
    checks.append({"what": "the first continues until it is killed", "problems": problems})
    finished = commands.run("train", *flags)
    checks.append({"what": "after that kill the next one trains at once", "problems": finished.failure()})
    return {"checks": checks + training.as_if_undisturbed(run, undisturbed)}
