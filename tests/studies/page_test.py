"""docs/studies.md is what the studies' results make of it."""

from pathlib import Path

import pytest

from studies.page import STUDIES, page, study

ROOT = Path(__file__).parents[2]


def test_the_page_is_that_of_the_results():
    assert page() == (ROOT / "docs" / "studies.md").read_text()


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_named_as_its_module_and_has_a_figure(name):
    assert study(name).name == name
    assert (ROOT / "docs" / "images" / f"study_{name}.png").exists()


def test_every_study_is_on_the_page():
    modules = {path.stem for path in (ROOT / "studies").glob("*.py")} - {"__init__", "harness", "page"}
    assert set(STUDIES) == modules
