"""The tables of README and docs/ are those that `python -m benchmarks.tables` makes of their results."""

import pytest

from benchmarks import tables

RUN = {"accuracy": 0.98234, "confidence_interval_95": 0.00251, "train_episodes": 24000, "train_seconds": 841.0}
RESULTS = {
    "good": RUN,
    "better": RUN | {"accuracy": 0.991},
    "untrained": RUN | {"train_seconds": None},
    "speed": {"seconds": 3.0},
    "exports": {
        "configurations": {"good": {"adapt_seconds": 0.00184, "export_bytes": 1_134_499, "most_classes": 5}},
    },
}


@pytest.mark.parametrize("path", tables.pages(), ids=lambda path: path.name)
def test_every_page_is_filled(path):
    assert tables.filled(path.read_text()) == path.read_text(), "run python -m benchmarks.tables"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.setattr(tables, "result", RESULTS.__getitem__)


def row(*cells):
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|\n"


def table(*rows):
    header = row("of", "accuracy", "training") + "|---|---|---|\n"
    return f"In one run:\n\n{header}{''.join(rows)}\nand 1.23 ± 0.10.\n"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("? ± ?", "? in ? min", "[json](results/good.json)"), ("98.23 ± 0.25", "24,000 in 14 min")),
        (
            ("97.00 ± 0.33; 5.0 more", "1,000 batches in 2 min", "[json](docs/results/good.json)"),
            ("98.23 ± 0.25; 5.0 more", "24,000 batches in 14 min"),
        ),
        (("? ± ?", "none", "[json](results/untrained.json)"), ("98.23 ± 0.25", "none")),
        (("1.00 ± 0.33", "", "[json](results/speed.json)"), ("1.00 ± 0.33", "")),
        (("1.00 ± 0.33", "", "by hand"), ("1.00 ± 0.33", "")),
    ],
)
def test_a_row_is_filled_from_its_result(results, cells, expected):
    assert tables.filled(table(row(*cells))) == table(row(*expected, cells[-1]))


def test_each_number_is_of_its_own_link(results):
    before = row("? ± ?", "[json](results/good.json)", "? ± ?", "[json](results/better.json)", "? in ? min")
    after = row("98.23 ± 0.25", "[json](results/good.json)", "99.10 ± 0.25", "[json](results/better.json)")
    assert tables.filled(table(before)) == table(after[:-1] + " 24,000 in 14 min |\n")
    cell = "[{}](results/better.json)"
    filled = tables.filled(table(row("a", cell.format("? ± ?"), "[json](results/good.json)")))
    assert filled == table(row("a", cell.format("99.10 ± 0.25"), "[json](results/good.json)"))


def test_costs_are_filled_where_they_were_measured_and_the_best_comes_first(results):
    header = row("method", "accuracy, %", "adapt, ms", "export, KB", "classes") + "|---|---|---|---|---|\n"
    page = "Costs ([json](results/exports.json)).\n\n" + header
    good, better = (f"[98.23 ± 0.25](results/{name}.json)" for name in ("good", "better"))
    before = page + row("a", good, "", "7", "any") + row("b", better, "9.0", "", "20")
    better = better.replace("98.23", "99.10")
    assert tables.filled(before) == page + row("b", better, "", "", "20") + row("a", good, "1.8", "1,134", "up to 5")
