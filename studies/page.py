"""docs/studies.md, from the studies and what they came to: python -m studies.page > docs/studies.md"""

import importlib
from pathlib import Path

from ml_lstm.command_line import records
from ml_lstm.compare import as_markdown
from studies import names
from studies.harness import Study

RESULTS = Path(__file__).parents[1] / "docs" / "results"

_HEAD = """# Studies

Experiments of the papers, and some of our own, each by one command:

    pip install '.[data,plots]'    # in a checkout
    python -m studies.NAME --data_dir=DIR --out=DIR --scale=hours

`--scale=small` takes minutes on two cores and shows that all works; `hours` is what two or three hours there allow,
and what the figures below are of; `paper` is the published size. A study is a few trainings, each of which may be cut
short: the same command goes on. `--list` prints what is left, a line a training, so that several machines can share
it. Results go to `DIR/NAME.json`, `.md` and `.png`. This page is made from them by
`python -m studies.page > docs/studies.md`.
"""


def study(name: str) -> Study:
    """A study by the name of its module."""
    return importlib.import_module(f"studies.{name}").STUDY


def page() -> str:
    """Markdown: of each study what it asks, what its source found, its table and figure, and what came of it."""
    return "\n".join([_HEAD, *map(_part, names())])


def _part(name):
    asked, file = study(name), RESULTS / f"study_{name}.json"
    paragraphs = [f"## {asked.title}: `python -m studies.{name}`", asked.question, asked.paper]
    if file.exists():
        record = records.read_json(file)
        paragraphs += [
            as_markdown(asked.table(record["results"])),
            f"`--scale={record['scale']}`, one run each; accuracies in % with their 95 % intervals "
            f"([flags, seeds, commits](results/{file.name})).",
            f"![{asked.title}](images/study_{name}.png)",
            asked.findings,
        ]
    else:
        paragraphs.append("No results yet at a scale that tells something.")
    return "\n\n".join(filter(None, paragraphs)) + "\n"


if __name__ == "__main__":
    print(page(), end="")
