"""docs/options.md says what the constructors say."""

from pathlib import Path

from ml_lstm import options
from ml_lstm.runs import settings
from ml_lstm.runs.options_page import page

ROOT = Path(__file__).parents[2]


def test_the_page_in_docs_is_current():
    assert (ROOT / "docs" / "options.md").read_text() == page(), "python -m ml_lstm.runs.options_page > docs/options.md"


def test_every_option_has_help():
    bare = [
        f"{taker}: --{name}"
        for name, found in options.collected(settings.all_takers()).items()
        for taker, option in found.items()
        if len(option.help) < 5
    ]
    assert not bare
