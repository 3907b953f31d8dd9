"""The page with the results of `benchmarks.kills`."""

from typing import Any

_PARTS = {
    "train": (
        "`train`",
        "A run of a few epochs, killed and started again by the same command for each moment, then started once more. "
        "\"Starting\" lasts until its first event file, \"first steps\" until the first validation, which ends "
        "where a save begins; \"later epochs\" have steps, validations and saves.",
    ),
    "export": (
        "`export`",
        "Killed as it starts, or while it writes beside the existing version: `.writing-*`, renamed to a number "
        "at the end.",
    ),
    "serve": (
        "`serve`",
        "Killed as it starts, or while four callers ask by REST and gRPC without a pause; started again at the same "
        "ports. It writes no files: its log and metrics are its only records.",
    ),
    "full disk": (
        "A full disk",
        "The disk of the run, the export and the tables is {how}. Each command is started with no space and, if it "
        "writes more than a page, with random parts of the space it needs; then the same command is started with "
        "enough space.",
    ),
    "two trainers": ("Two trainers on one run", "Two are started at once, and another beside the one that continues."),
}  # fmt: skip


def page(result: dict[str, Any]) -> str:
    """Markdown: a table of kills and one of checks for each part.

    Args:
        result: the JSON that `python -m benchmarks.kills` writes.
    """
    kills = [kill for part in result["parts"].values() for kill in part.get("kills", []) if kill["seconds"] is not None]
    wrong = problems(result)
    flags = " ".join(f"--{name}={value}" for name, value in sorted(result["flags"].items()))
    lines = [
        "# Kills, a full disk and a second trainer",
        "",
        f"SIGKILL at {len(kills)} random moments: a phase of the command, and a random part of the time that "
        "the phase takes without a kill. After each, every complete file is read, and the same command is started "
        "again, with nothing removed in between. "
        + (f"**{len(wrong)} things are wrong.**" if wrong else "Nothing was wrong."),
        "",
        f"Written by `python -m benchmarks.kills --out=docs/kills.md {flags}` from "
        "[json](results/kills.json), which names the machine and the commit; the LSTM meta-learner on glyphs of "
        "16×16 pixels.",
    ]
    for name, (title, about) in _PARTS.items():
        part = result["parts"][name]
        lines += ["", f"## {title}", "", about.format(how=result["full_disk_by"])]
        if "kills" in part:
            lines += [
                "",
                "| | planned moment | s after the start | killed during | what was there | problems |",
                "|---|---|---|---|---|---|",
            ]
            lines += [_kill(*numbered) for numbered in enumerate(part["kills"], start=1)]
        lines += ["", "| check | problems |", "|---|---|"]
        lines += [f"| {check['what']} | {_told(check['problems'])} |" for check in part["checks"]]
    return "\n".join(lines) + "\n"


def _kill(number, kill):
    drawn = f"{kill['drawn']['phase']}, {kill['drawn']['fraction']:.3f}"
    seconds = "" if kill["seconds"] is None else f"{kill['seconds']:.3f}"
    phase = kill["phase"] or "not killed, it had ended"
    return f"| {number} | {drawn} | {seconds} | {phase} | {kill['left']} | {_told(kill['problems'])} |"


def _told(found):
    return "; ".join(found).replace("|", "\\|").replace("\n", " ") or "none"


def problems(result: dict[str, Any]) -> list[str]:
    """All problems, in order."""
    rows = [row for part in result["parts"].values() for row in (*part.get("kills", []), *part["checks"])]
    return [problem for row in rows for problem in row["problems"]]
