"""Writes docs/options.md, all options of all components: python -m ml_lstm.runs.options_page > docs/options.md"""

from ml_lstm import options
from ml_lstm.runs import settings

_HEAD = """\
# Options

The options of a run: set them by `python -m ml_lstm.train --NAME=VALUE`, in a flag file, or as keyword arguments in
Python. On the command line, an option that none of the chosen components has is an error; in a flag file it is ignored,
and a line says so. Options marked *free* change how, not what, is computed: a run can continue with another value.

An option that several components take is listed once, under the first of them: search this page for its name.

This page is generated from the constructors by `python -m ml_lstm.runs.options_page > docs/options.md`.

## Choices

| option | default | one of |
|---|---|---|
"""


def page() -> str:
    """The text of docs/options.md."""
    rows = [
        f"| `--{name}` | `{choice.default}` | {', '.join(f'`{word}`' for word in choice.words.split(', '))} |"
        for name, choice in settings.CHOICES.items()
    ]
    sections: dict[str, list[str]] = {}
    for name, found in options.collected(settings.all_takers()).items():
        (first, *_) = found.values()
        free = " *Free.*" if first.free else ""
        words = options.described(found).replace("|", "\\|")
        sections.setdefault(_title(first.origin), []).append(f"| `--{name}` | {first.expected} | {words}{free} |")
    tables = [
        f"\n## {title}\n\n| option | must be | what it is |\n|---|---|---|\n" + "\n".join(lines) + "\n"
        for title, lines in sections.items()
    ]
    return _HEAD + "\n".join(rows) + "\n" + "".join(tables)


def _title(origin):
    return f"`{origin.__module__}.{origin.__qualname__}`"


if __name__ == "__main__":
    print(page(), end="")
