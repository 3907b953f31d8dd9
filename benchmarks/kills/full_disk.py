"""Fills a disk while a command writes to it, and runs the same command again once there is space."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.kills import exporting, saved, training
from benchmarks.kills.commands import Commands
from benchmarks.kills.moments import reached
from benchmarks.kills.serving import Server, answer_of_version

_WORDS = "Free some space, or choose another path."
_DISK_BYTES = 64 * 2**20
_PAGE = 4096


class Disk:
    """A place that can be filled up.

    Attributes:
        path: a directory there.
        how: what fills it, in words.
    """

    def __init__(self, path: Path, how: str, is_mounted: bool):
        self.path, self.how = path, how
        self._is_mounted = is_mounted
        self._filler = path / ".filler"

    @contextlib.contextmanager
    def full_but_for(self, room: int) -> Iterator[dict[str, Any]]:
        """Leaves this number of bytes; yields the arguments to start commands with."""
        if not self._is_mounted:
            limit = max(room, _PAGE)
            yield {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}
            return
        status = os.statvfs(self.path)
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - room)
        try:
            yield {}
        finally:
            self._filler.unlink()


@contextlib.contextmanager
def small_disk(path: Path, may_mount: bool = True) -> Iterator[Disk]:
    """A file system in memory, mounted at a new directory; or a limit on file sizes if mounting is not allowed."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(path)]
    try:
        if not may_mount:
            raise PermissionError
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield Disk(path, f"a limit on the size of files (RLIMIT_FSIZE), of {_PAGE} bytes at least", False)
        return
    try:
        yield Disk(path, "a small tmpfs, filled up", True)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(
    commands: Commands, disk: Disk, undisturbed: Path, version: Path, epochs: int, rooms: Sequence[float]
) -> dict[str, list[dict]]:
    """Runs each command on a full disk, then again with space.

    Args:
        commands: starts them.
        disk: the disk to fill.
        undisturbed: directory of a run to compare with.
        version: of an export of it.
        epochs: of the run.
        rooms: how much space to leave, as fractions of what the command writes; each is tried once.

    Returns:
        `checks`, each with its `problems`.
    """
    run, models = disk.path / "run", disk.path / "models" / "few_shot"
    shutil.copytree(version, models / "1")
    checks = _train(commands, disk, run, undisturbed, epochs, rooms)
    checks += _evaluate(commands, disk, run)
    checks += _export(commands, disk, run, models, rooms)
    checks += _adapt(commands, disk, models / "1")
    checks += _serve(commands, disk, models)
    return {"checks": checks}


def _bytes(directory):
    return sum(-(-file.stat().st_size // _PAGE) * _PAGE for file in directory.rglob("*") if file.is_file())


def _lost(before, after):
    """Files that have changed or are missing."""
    return [f"{name} has changed" for name, digest in before.items() if after.get(name) != digest]


def _train(commands, disk, run, undisturbed, epochs, rooms):
    flags, refused, damaged = training.flags(run, epochs), [], []
    for room in sorted(rooms):
        checkpoints = sorted(run.glob("backup/*.index"))
        with disk.full_but_for(int(room * _bytes(undisturbed))) as more:
            refused += commands.run("train", *flags, **more).refusal_without(_WORDS)
        damaged += saved.damage(run)
        damaged += ["checkpoints are gone"] if len(list(run.glob("backup/*.index"))) < len(checkpoints) else []
        damaged += [str(path) for path in run.rglob("*unfinished*")]
    finished = commands.run("train", *flags)
    return [
        {"what": f"`train`, {len(rooms)} times: one line, exit 1", "problems": refused},
        {"what": "what it had saved is intact, and no partly written file remains", "problems": damaged},
        {"what": "with space, the same command ends", "problems": finished.failure()},
        *training.as_if_undisturbed(run, undisturbed),
    ]


def _evaluate(commands, disk, run):
    flags = [f"--run_dir={run}", "--episodes=4"]
    problems = commands.run("evaluate", *flags).failure()
    before = saved.tree(run)
    with disk.full_but_for(0) as more:
        refused = commands.run("evaluate", f"--run_dir={run}", "--episodes=6", **more)
    kept = _lost(before, saved.tree(run)) + sorted(saved.tree(run).keys() - before.keys())
    problems += commands.run("evaluate", f"--run_dir={run}", "--episodes=6").failure()
    problems += [] if len(list(run.glob("evaluate-*.json"))) == 2 else ["not two results"]
    return [
        {"what": "`evaluate`: one line, exit 1", "problems": refused.refusal_without(_WORDS)},
        {"what": "the run and its other result are unchanged, with nothing beside them", "problems": kept},
        {"what": "with space, it writes the result", "problems": problems},
    ]


def _export(commands, disk, run, models, rooms):
    flags = exporting.flags(run, models)
    before, refused, kept = saved.tree(models), [], []
    for room in rooms:
        with disk.full_but_for(int(room * _bytes(models / "1"))) as more:
            refused += commands.run("export", *flags, **more).refusal_without(_WORDS)
        kept += [] if saved.tree(models) == before else ["the directory of versions has changed"]
    problems = commands.run("export", *flags).failure()
    same = not problems and answer_of_version(models / "1") == answer_of_version(models / "2")
    return [
        {"what": f"`export`, {len(rooms)} times: one line, exit 1", "problems": refused},
        {"what": "the earlier version is unchanged, with nothing beside it", "problems": kept},
        {
            "what": "with space, it writes a version that answers the same",
            "problems": problems if same else [*problems, "another answer"],
        },
    ]


def _adapt(commands, disk, version):
    support, queries, tables = (disk.path / name for name in ("support", "queries", "tables"))
    random = np.random.default_rng(0)
    for number in range(3):
        for path in (support / f"class_{number}" / "0.png", queries / f"{number}.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(256, size=(16, 16), dtype=np.uint8)).save(path)
    tables.mkdir()
    flags = [f"--saved_model={version}", f"--support={support}", f"--query={queries}"]
    tabled = [f"--{kind}={tables / f'table.{kind}'}" for kind in ("csv", "json")]
    for kind in ("csv", "json"):
        (tables / f"table.{kind}").write_text("of an earlier day\n" * 1000)
    before, refused = saved.tree(tables), []
    for table in tabled:
        with disk.full_but_for(0) as more:
            refused += commands.run("adapt", *flags, table, **more).refusal_without(_WORDS)
    kept = _lost(before, saved.tree(tables)) + sorted(saved.tree(tables).keys() - before.keys())
    problems = commands.run("adapt", *flags, *tabled).failure()
    problems += [] if len(json.loads((tables / "table.json").read_text())["answers"]) == 3 else ["not three answers"]
    return [
        {"what": "`adapt`, to CSV and to JSON: one line, exit 1", "problems": refused},
        {"what": "the earlier tables are unchanged", "problems": kept},
        {"what": "with space, it writes them", "problems": problems},
    ]


def _serve(commands, disk, models):
    server = Server(commands, models)
    with disk.full_but_for(0) as more, (disk.path / "serve.log").open("wb") as log:
        running = server.start(stderr=log, **more)
        answers = reached(running, server.ready) and {server.ask_rest() for _ in range(3)}
        finished = running.kill()
    problems = [] if answers and len(answers) == 1 else [f"it does not answer: {finished}"]
    return [{"what": "`serve`, its log on the full disk: it answers", "problems": problems}]
