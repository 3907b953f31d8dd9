"""docs/studies.md, from what the studies came to: python -m studies.page > docs/studies.md"""

import importlib
from pathlib import Path

from ml_lstm.command_line import records
from ml_lstm.compare import as_markdown
from studies.harness import Study

RESULTS = Path(__file__).parents[1] / "docs" / "results"
STUDIES = ("few_classes",)

_HEAD = """# Studies

Experiments of the papers, and some of our own, each by one command:

    pip install 'ml_lstm[plots]'
    python -m studies.NAME --data_dir=DIR --out=DIR --scale=hours

`--scale=small` takes minutes on two cores and shows that all works; `hours` is what two or three hours there allow,
and what the figures below are of; `paper` is the published size. A study is a few runs of `train`, each of which may
be cut short: the same command goes on. `--list` prints what is left, a line a run, so that several machines can share
it. Results go to `DIR/NAME.json`, `.md` and `.png`. This page is made from them by `python -m studies.page >
docs/studies.md`.
"""


def study(name: str) -> Study:
    """A study by the name of its module."""
    return importlib.import_module(f"studies.{name}").STUDY


def page() -> str:
    """Markdown: of each study what it asks, its table and figure, and what came of it."""
    return "\n".join([_HEAD, *map(_part, STUDIES)])


def _part(name):
    asked = study(name)
    record = records.read_json(RESULTS / f"study_{name}.json")
    return (
        f"## {asked.title}: `python -m studies.{name}`\n\n{asked.question}\n\n"
        f"{as_markdown(asked.table(record['results']))}\n\n"
        f"Accuracy on 600 problems with its 95 % interval, %, `--scale={record['scale']}`, one run each "
        f"([flags, seed, commit](results/study_{name}.json)).\n\n"
        f"![{asked.title}](images/study_{name}.png)\n\n{asked.findings(record['results'])}\n"
    )


if __name__ == "__main__":
    print(page(), end="")
