"""Starts every command and reports its errors: one line, and exit code 1, 2 for a wrong flag, or 75 for "try again"."""

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

_GIVE_PERMISSION = "Change its permissions, or choose another path."
_FREE_SPACE = "Free some space, or choose another path."
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
    """A stream's file that ignores writes when its reader is gone: a closed terminal or pipe.

    Any other error of stdout, for example a full disk, is raised once, so that stderr can report it; the output is
    lost. Errors of stderr are not raised, because they could not be reported.
    """

    def __init__(self, descriptor: int, is_needed: bool):
        super().__init__(descriptor, "w", closefd=False)
        self._is_needed = is_needed

    def write(self, data):
        try:
            return super().write(data)
        except OSError as error:
            if self._is_needed and error.errno not in (errno.EIO, errno.EPIPE):
                self._is_needed = False  # at exit, Python tries once more to write the rest
                raise OSError(error.errno, error.strerror, "standard output") from None
            return len(memoryview(data).cast("B"))


def make_output_last() -> None:
    """Makes stdout and stderr robust, so that no work is lost when an encoding fails or a terminal or pipe is closed.

    If stdout cannot be written for another reason, an `OSError` is raised. A character that the stream's encoding
    lacks is written as its number.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):  # None if it was closed; or a test's stream
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
    """Registers a check that exactly one of these flags is given."""
    flags.register_multi_flags_validator(
        names,
        lambda given: sum(value is not None for value in given.values()) == 1,
        f"give exactly one of {' or '.join(f'--{name}' for name in names)}",
    )


def run(
    main: Callable[..., None],
    prepare: Callable[[Sequence[str]], Any] | None = None,
    goes_on: bool = False,
    takes_words: bool = False,
) -> None:
    """Parses the flags, calls `main` and reports errors that the user can fix in one line on stderr.

    Args:
        main: the command; its flags are already defined, and are parsed when it is called.
        prepare: computes the argument of `main` from the command line; it raises `flags.Error` for a wrong flag. None
            for a `main` without arguments.
        goes_on: whether running the same command again resumes from what it saved.
        takes_words: whether the command takes positional arguments: `main` is then called with a list of them.
    """
    make_output_last()
    prepared = []

    def parse(argv):
        try:
            rest = flags.FLAGS(flag_files.with_contents(argv))
            if takes_words:
                prepared.append(rest[1:])
            elif len(rest) > 1:
                raise flags.Error(f"{rest[1]!r} is not a flag: write --name=value.")
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
        # TensorFlow's file system reports errors in the operating system's words. The exception type does not help: a
        # limit on file sizes is an OutOfRangeError, like the end of a data set.
        if not (_remedies(error.message) or isinstance(error, tf.errors.ResourceExhaustedError)):
            raise
        # The first line has the message; remove its notes on graph nodes, {{node …}} and [Op:…].
        problem = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message.splitlines()[0])
        _fail(_with_remedy(problem.strip(), goes_on), 1)
    except KeyboardInterrupt:
        _fail("Interrupted.", 130)


def _flush():
    """Writes all buffered output while an error can still be reported."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _remedies(problem):
    return [remedy for number, remedy in _REMEDIES.items() if os.strerror(number) in problem]


def _with_remedy(problem, goes_on):
    remedies = _remedies(problem)[:1]
    if goes_on and remedies == [_FREE_SPACE]:
        remedies.append("Then run the same command again: it resumes from what was saved.")
    return " ".join([f"{problem}.", *remedies])


def _fail(problem, status):
    line = " ".join(str(problem).split())
    module = sys.modules["__main__"].__spec__  # None for a script, python FILE
    name = module.name.removesuffix(".__main__") if module else os.path.basename(sys.argv[0])
    print(f"{name}: {line}", file=sys.stderr)
    sys.exit(status)
