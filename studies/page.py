"""Writes docs/studies.md, from the studies and their results: python -m studies.page > docs/studies.md"""

import importlib
from pathlib import Path

from ml_lstm.command_line import records
from ml_lstm.compare import as_markdown
from studies import names
from studies.harness import Study

RESULTS = Path(__file__).parents[1] / "docs" / "results"

_HEAD = """# Studies

Experiments of the papers, and some of ml_lstm's own, each run by one command:

    pip install '.[data,plots]'    # in a checkout
    python -m studies.NAME --data_dir=DATA --out=OUT --scale=hours

`--scale=small`, the default, takes minutes on two cores and shows that everything works; `hours` takes two or three
hours there, and the results below, where there are any, are from it; `paper` is the published size. A study consists
of several trainings, and each can be interrupted: the same command resumes it. `--list` prints the remaining commands,
a line for each training, so that several machines can share them. Results go to `OUT/NAME.json`, `.md` and `.png`. This
page is generated from them by `python -m studies.page > docs/studies.md`.
"""


def study(name: str) -> Study:
    """The study of a module, by the module's name."""
    return importlib.import_module(f"studies.{name}").STUDY


def page() -> str:
    """Markdown: for each study its question, what its source found, its table and figure, and the findings."""
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
        paragraphs.append("There are no results yet at a scale large enough for conclusions.")
    return "\n\n".join(filter(None, paragraphs)) + "\n"


if __name__ == "__main__":
    print(page(), end="")
