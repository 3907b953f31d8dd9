"""Flag files, `--flagfile=FILE`: where one is looked for, and what it holds. absl knows the working directory only."""

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
    """The folder of the configurations that come with ml_lstm: in the package, or beside it in a checkout."""
    inside = _PACKAGE / _FOLDER
    return inside if inside.is_dir() else _PACKAGE.parent / _FOLDER


def with_contents(argv: Sequence[str]) -> list[str]:
    """A command line in which the lines of each flag file stand in place of its name.

    A file that is typed is looked for in the working directory, one that a file includes by a `--flagfile=` of its own
    in the folder of that file first. `configs/NAME.flags` that is in neither is one of `shipped`. Empty lines, and
    those that begin with `#` or `//`, are left out.

    Args:
        argv: as typed, the program's name first.

    Raises:
        flags.Error: for a file that is not there, cannot be read, or includes itself.
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
    """The file that a line includes; None for one that is another flag."""
    found = re.fullmatch(r"--?flagfile=(.*)", line, re.DOTALL)
    return found and found[1].strip()


def _lines(name: str, including: tuple[Path, ...]) -> Iterator[str]:
    """Of a file and those that it includes; `including` led to it, the last one directly."""
    if not name:  # as absl has it
        return
    path = _found(name, including[-1] if including else None)
    if any(os.path.samefile(path, other) for other in including):
        raise flags.Error(f"{path} includes itself, by way of {including[-1]}: take out one --flagfile.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise flags.Error(f"{path} is no flag file: it is not in UTF-8.") from None
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
    raise flags.Error(f"{by}--flagfile={name}: there is no such file. {_did_you_mean(path, places)}")


def _did_you_mean(path, places) -> str:
    """Names like it, of files where it was looked for and of configurations that are shipped."""
    there = [path.parent / file.name for place in places for file in sorted(place.parent.glob("*.flags"))]
    there += [file.relative_to(shipped().parent) for file in sorted(shipped().rglob("*.flags"))]
    close = difflib.get_close_matches(path.stem, {file.stem for file in there}, cutoff=0.7)
    listed = sorted({str(file) for file in there if file.stem in close}, key=lambda name: close.index(Path(name).stem))
    return f"Did you mean {' or '.join(listed)}?" if listed else "Check the path."
