"""docs/studies.md is what the studies and their results make of it."""

import json
from pathlib import Path

import pytest

from studies import page
from studies.harness import Study

ROOT = Path(__file__).parents[2]


def test_the_page_is_that_of_the_studies_and_their_results():
    assert page.page() == (ROOT / "docs" / "studies.md").read_text()


@pytest.mark.parametrize("name", page.names())
def test_a_study_is_named_as_its_module_and_says_what_it_asks(name):
    study = page.study(name)
    assert (study.name, bool(study.question)) == (name, True)


@pytest.mark.parametrize("name", page.names())
def test_a_study_with_results_has_a_figure_and_says_what_it_found(name):
    has = {
        "results": (ROOT / "docs" / "results" / f"study_{name}.json").exists(),
        "figure": (ROOT / "docs" / "images" / f"study_{name}.png").exists(),
        "findings": bool(page.study(name).findings),
    }
    assert len(set(has.values())) == 1, has


@pytest.fixture
def example(monkeypatch, tmp_path):
    study = Study(
        "example",
        "An example",
        "Is one enough?",
        None,
        lambda results: [["n"], [str(results["n"])]],
        None,
        "No.",
        "Yes.",
    )
    monkeypatch.setattr(page, "names", lambda: ["example"])
    monkeypatch.setattr(page, "study", {"example": study}.get)
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    return tmp_path


def test_a_part_has_question_source_table_figure_and_findings_in_this_order(example):
    (example / "study_example.json").write_text(json.dumps({"scale": "hours", "results": {"n": 7}}))
    part = page.page().partition("## An example")[2]
    places = [part.index(words) for words in ("Is one enough?", "No.", "| 7 |", "images/study_example.png", "Yes.")]
    assert places == sorted(places)
    assert "`--scale=hours`" in part and "(results/study_example.json)" in part


def test_a_study_that_has_not_run_says_so(example):
    part = page.page().partition("## An example")[2]
    assert "no results yet" in part
    assert "Yes." not in part and "images/" not in part
