"""Accuracies in README and docs/ are those of the results that they link to."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FIGURE = re.compile(r"(\d+\.\d+) ± (\d+\.\d+)")
LINK = re.compile(r"\(((?:docs/)?results/[^)]+\.json)\)")


def disagreements(text, base):
    """`(how many figures were compared, what is wrong)`, line by line, where a line links to one result."""
    compared, wrong = 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        links, figures = LINK.findall(line), FIGURE.findall(line)
        if len(links) != 1 or len(figures) != 1:
            continue
        result = json.loads((base / links[0]).read_text())
        if "accuracy" not in result:
            continue
        expected = tuple(f"{100 * result[name]:.2f}" for name in ("accuracy", "confidence_interval_95"))
        compared += 1
        if figures[0] != expected:
            wrong.append(f"line {number}: {' ± '.join(figures[0])}, but {links[0]} has {' ± '.join(expected)}")
        episodes = re.search(r"\| ([\d,]+)(?: batches)? in (\d+) min", line)
        if episodes:
            minutes = result["train_seconds"] / 60
            right = int(episodes[1].replace(",", "")) == result["train_episodes"]
            if not right or abs(int(episodes[2]) - minutes) > 1:
                wrong.append(f"line {number}: {episodes[0]}, but {result['train_episodes']} in {minutes:.1f} min")
    return compared, wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_figure_is_that_of_the_result_in_its_line(page):
    _, wrong = disagreements(page.read_text(), page.parent)
    assert not wrong


def test_most_figures_of_the_readme_are_compared():
    compared, _ = disagreements(PAGES[0].read_text(), ROOT)
    assert compared >= 25


def test_a_wrong_digit_is_found():
    text = PAGES[0].read_text()
    figure = FIGURE.search(text)[0]
    _, wrong = disagreements(text.replace(figure, figure.replace("9", "8", 1)), ROOT)
    assert len(wrong) == 1


def test_every_result_is_linked_and_every_link_leads_to_one():
    linked = {(page.parent / link).resolve() for page in PAGES for link in LINK.findall(page.read_text())}
    there = {path.resolve() for path in (ROOT / "docs" / "results").glob("*.json")}
    assert linked == there
