"""Finds and reads flag files, `--flagfile=FILE`. absl itself looks in the working directory only."""

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import flags

from ml_lstm.paths import expanded

_PACKAGE = Path(__file__).parents[1]
_FOLDER = "configs"


def shipped() -> Path:
    """The folder of ml_lstm's configurations: in the package, or beside it in a checkout."""
    inside = _PACKAGE / _FOLDER
    return inside if inside.is_dir() else _PACKAGE.parent / _FOLDER


def with_contents(argv: Sequence[str]) -> list[str]:
    """Replaces each `--flagfile=FILE` of a command line by the lines of the file.

    A file named on the command line is searched in the working directory. A file that another flag file includes is
    searched first in that file's folder. `configs/NAME.flags` that is in neither is taken from `shipped`. Empty lines
    and lines that begin with `#` or `//` are left out.

    Args:
        argv: the command line, the program's name first.

    Raises:
        flags.Error: if a file does not exist, cannot be read, or includes itself.
    """
    words, given = list(argv), []
    while words:
        word = words.pop(0)
        if word == "--":
            return [*given, word, *words]
        if word in ("--flagfile", "-flagfile") and words:
            word = f"--flagfile={words.pop(0)}"
        name = _included(word)
        given += [word] if name is None else _lines(name, ())
    return given


def _included(line) -> str | None:
    """The file that a line includes; None if the line is another flag."""
    found = re.fullmatch(r"--?flagfile=(.*)", line, re.DOTALL)
    return found and found[1].strip()


def _lines(name: str, including: tuple[Path, ...]) -> Iterator[str]:
    """The lines of a file and of those that it includes; `including` is the chain of files that led to it."""
    if not name:  # ignored, as in absl
        return
    path = _found(name, including[-1] if including else None)
    if any(os.path.samefile(path, other) for other in including):
        raise flags.Error(f"{path} includes itself, through {including[-1]}: remove one --flagfile.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise flags.Error(f"{path} is not a flag file: it is not in UTF-8.") from None
    except OSError as error:
        raise flags.Error(f"{path} cannot be read: {error.strerror}.") from None
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith(("#", "//")):
            continue
        other = _included(line)
        if other is None:
            yield line
        else:
            yield from _lines(other, (*including, path))


def _found(name: str, including: Path | None) -> Path:
    path = expanded(name)
    places = [] if including is None else [including.parent / path]
    places.append(path)
    if path.parts[:1] == (_FOLDER,):
        places.append(shipped().parent / path)
    for place in places:
        if os.path.exists(place):
            return place
    by = f"{including} has " if including else ""
    raise flags.Error(f"{by}--flagfile={name}: this file does not exist. {_did_you_mean(path, places)}")


def _did_you_mean(path, places) -> str:
    """Suggests similar names, among files in the searched folders and ml_lstm's configurations."""
    there = [path.parent / file.name for place in places for file in sorted(place.parent.glob("*.flags"))]
    there += [file.relative_to(shipped().parent) for file in sorted(shipped().rglob("*.flags"))]
    close = difflib.get_close_matches(path.stem, {file.stem for file in there}, cutoff=0.7)
    listed = sorted({str(file) for file in there if file.stem in close}, key=lambda name: close.index(Path(name).stem))
    return f"Did you mean {' or '.join(listed)}?" if listed else "Check the path."
