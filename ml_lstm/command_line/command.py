"""How every command starts, and how it fails: one line, exit 1, 2 for a wrong flag, or 75 for "try again"."""

import errno
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from absl import app, flags

from ml_lstm.command_line import flag_files
from ml_lstm.errors import UserError

_GIVE_PERMISSION = "Change its permissions, or choose another place."
_FREE_SPACE = "Free some space, or choose another place."
_REMEDIES = {
    errno.EACCES: _GIVE_PERMISSION,
    errno.EPERM: _GIVE_PERMISSION,
    errno.EROFS: _GIVE_PERMISSION,
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: _FREE_SPACE,
    errno.ENOENT: "Check the path.",
    errno.ENOTDIR: "Choose another path.",
    errno.EEXIST: "Choose another path.",
    errno.EISDIR: "Choose another path.",
}


class _LastingFile(io.FileIO):
    """A stream's file, to which writing goes on in vain when its reader is gone: a closed terminal or pipe.

    What else goes wrong with stdout, a full disk say, is raised once: it can be told on stderr, and what was to be
    written is lost. With stderr it is not: nobody could be told.
    """

    def __init__(self, descriptor: int, is_needed: bool):
        super().__init__(descriptor, "w", closefd=False)
        self._is_needed = is_needed

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            if self._is_needed and error.errno not in (errno.EIO, errno.EPIPE):
                self._is_needed = False  # Python writes what is left once more at its end
                raise OSError(error.errno, error.strerror, "standard output") from None
            return len(memoryview(data).cast("B"))


def make_output_last() -> None:
    """Makes output that no work is lost for: for want of an encoding, or because the terminal or pipe is closed.

    Where stdout cannot be written to for another reason an `OSError` says so. A character that the stream's encoding
    lacks is written as its number.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):  # None, where it was closed; or a test's
            continue
        stream.flush()
        unnamed = stream.errors in ("strict", "surrogateescape")
        file = io.BufferedWriter(_LastingFile(stream.fileno(), name == "stdout"))
        lasting = io.TextIOWrapper(
            file,
            encoding=stream.encoding,
            errors="backslashreplace" if unnamed else stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        lasting.mode = "w"
        setattr(sys, name, lasting)


def require_one_of(*names: str) -> None:
    """Refuses none of some flags, and more than one of them."""
    flags.register_multi_flags_validator(
        names,
        lambda given: sum(value is not None for value in given.values()) == 1,
        f"give either {' or '.join(f'--{name}' for name in names)}",
    )


def run(
    main: Callable[..., None],
    prepare: Callable[[Sequence[str]], Any] | None = None,
    goes_on: bool = False,
    takes_words: bool = False,
) -> None:
    """Parses the flags, calls `main` and turns what a user can mend into one line on stderr.

    Args:
        main: the command, flags parsed; its flags are defined already.
        prepare: makes of all that was typed what `main` is called with; a `flags.Error` is a wrong flag. None
            for a `main` without arguments.
        goes_on: whether the same command goes on from what it saved.
        takes_words: whether it takes words that are no flags: `main` is then called with a list of them.
    """
    make_output_last()
    prepared = []

    def parse(argv):
        try:
            rest = flags.FLAGS(flag_files.with_contents(argv))
            if takes_words:
                prepared.append(rest[1:])
            elif len(rest) > 1:
                raise flags.Error(f"{rest[1]!r} is no flag: write --name=value.")
            if prepare:
                prepared.append(prepare(argv))
            return rest
        except flags.Error as error:
            _fail(error, 2)

    app.run(lambda _: _call(lambda: main(*prepared), goes_on), flags_parser=parse)


def _call(main, goes_on):
    try:
        try:
            main()
        except SystemExit:
            _flush()
            raise
        _flush()
    except UserError as error:
        _fail(error, error.status)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(_with_remedy(f"{where}{error.strerror or error}", goes_on), 1)
    except tf.errors.OpError as error:
        # TensorFlow's file system tells what went wrong in the words of the operating system, and its class of
        # error is no help: a limit on file sizes is an OutOfRangeError, as is the end of a data set.
        if not (_remedies(error.message) or isinstance(error, tf.errors.ResourceExhaustedError)):
            raise
        # The first line tells it, without the notes on graph nodes, {{node …}} and [Op:…].
        problem = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message.splitlines()[0])
        _fail(_with_remedy(problem.strip(), goes_on), 1)
    except KeyboardInterrupt:
        _fail("Interrupted.", 130)


def _flush():
    """Finds out whether all words have been written, while that can be told."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _remedies(problem):
    return [remedy for number, remedy in _REMEDIES.items() if os.strerror(number) in problem]


def _with_remedy(problem, goes_on):
    remedies = _remedies(problem)[:1]
    if goes_on and remedies == [_FREE_SPACE]:
        remedies.append("The same command then goes on from what was saved.")
    return " ".join([f"{problem}.", *remedies])


def _fail(problem, status):
    line = " ".join(str(problem).split())
    module = sys.modules["__main__"].__spec__  # None for a script, python FILE
    name = module.name.removesuffix(".__main__") if module else os.path.basename(sys.argv[0])
    print(f"{name}: {line}", file=sys.stderr)
    sys.exit(status)
