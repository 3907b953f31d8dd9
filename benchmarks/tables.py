"""Fills the tables of README.md and docs/ from the results that they link to: python -m benchmarks.tables

A row names what was measured and links to its result; its numbers follow. In a new row write `? ± ?` for the accuracy
and `? in ? min` for meta-training's episodes and time, and run this command. If there are several links, a number comes
from the first link in its cell or after it, else from the last one before it. If the text above a table links to
results/exports.json, the columns of costs are filled too, and rows are sorted by accuracy, highest first. Only numbers
and their order change.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_lstm.command_line import command

ROOT = Path(__file__).parents[1]

_NUMBER = r"(?:[\d,]+(?:\.\d+)?|\?)"
_ACCURACY = re.compile(rf"{_NUMBER} ± {_NUMBER}")
_TRAINING = re.compile(rf"{_NUMBER}(?P<unit> \w+)? in {_NUMBER} min")
_LINK = re.compile(r"\]\(((?:docs/)?results/(\w+)\.json)\)")
_COSTS = "exports"
_COST_COLUMNS = {
    "adapt, ms": ("adapt_seconds", 1e3, ".1f"),
    "one query, ms": ("predict_one_seconds", 1e3, ".1f"),
    "75 queries, ms": ("predict_all_seconds", 1e3, ".1f"),
    "adaptation, KB": ("adaptation_bytes", 1e-3, ".1f"),
    "export, KB": ("export_bytes", 1e-3, ",.0f"),
}


def pages() -> list[Path]:
    """All pages that may have tables of results."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@functools.cache
def result(name: str) -> Mapping[str, Any]:
    """The result in docs/results/<name>.json."""
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())


def filled(page: str) -> str:
    """A Markdown page with the numbers of the results that its tables link to."""
    lines = page.splitlines(keepends=True)
    for begin, end in _tables(lines):
        above = "".join(lines[max(0, begin - 6) : begin]).rpartition("\n\n")[0].rpartition("\n\n")[2]
        has_costs = _COSTS in (name for _, name in _LINK.findall(above))
        rows = [_filled_row(line) for line in lines[begin + 2 : end]]
        if has_costs:
            header = _cells(lines[begin])
            rows = sorted((_with_costs(row, header) for row in rows), key=_accuracy_of, reverse=True)
        lines[begin + 2 : end] = rows
    return "".join(lines)


def _tables(lines) -> Iterator[tuple[int, int]]:
    """For each table the index of its header line and the index after its last line."""
    begin = None
    for number, line in enumerate([*lines, ""]):
        if line.startswith("|") and begin is None:
            begin = number
        elif not line.startswith("|") and begin is not None:
            yield begin, number
            begin = None


def _cells(row):
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _joined(cells):
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|\n"


def _names(cells):
    return [name for cell in cells for _, name in _LINK.findall(cell)]


def _filled_row(row):
    cells = _cells(row)
    return _joined(_filled_cell(cell, _names(cells[at:]) or _names(cells)[-1:]) for at, cell in enumerate(cells))


def _filled_cell(cell, names):
    found = result(names[0]) if names else {}
    if "confidence_interval_95" in found:
        cell = _ACCURACY.sub(f"{100 * found['accuracy']:.2f} ± {100 * found['confidence_interval_95']:.2f}", cell)
        if found["train_seconds"] is not None:
            minutes = max(1, round(found["train_seconds"] / 60))
            cell = _TRAINING.sub(lambda old: f"{found['train_episodes']:,}{old['unit'] or ''} in {minutes} min", cell)
    return cell


def _with_costs(row, header):
    cells = _cells(row)
    name = _names(cells)[0]
    costs = result(_COSTS)["configurations"].get(name)
    for at, column in enumerate(header):
        if column in _COST_COLUMNS:
            key, scale, shown = _COST_COLUMNS[column]
            cells[at] = f"{costs[key] * scale:{shown}}" if costs else ""
        if column == "classes" and costs:
            cells[at] = f"up to {costs['most_classes']}" if costs["most_classes"] else "any"
    return _joined(cells)


def _accuracy_of(row):
    return result(_names(_cells(row))[0])["accuracy"]


def main() -> None:
    """Fills every page, and prints the names of those that changed."""
    for path in pages():
        before = path.read_text()
        after = filled(before)
        if after != before:
            path.write_text(after)
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    command.run(main)
