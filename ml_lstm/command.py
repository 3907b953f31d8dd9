"""How every command starts, and how it fails: one line, exit 1, or 2 for a wrong flag."""

import sys
from collections.abc import Callable

import tensorflow as tf
from absl import app, flags

from ml_lstm.errors import UserError


def run(main: Callable[[], None]) -> None:
    """Parses the flags, calls `main` and turns what a user can mend into one line on stderr.

    Args:
        main: the command, flags parsed; its flags are defined already.
    """
    app.run(lambda _: _call(main), flags_parser=_parse)


def _parse(argv):
    try:
        rest = flags.FLAGS(argv)
        if len(rest) > 1:
            raise flags.Error(f"{rest[1]!r} is no flag: write --name=value.")
        return rest
    except flags.Error as error:
        _fail(error, 2)


def _call(main):
    try:
        main()
    except UserError as error:
        _fail(error, 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}.", 1)
    except (
        tf.errors.PermissionDeniedError,
        tf.errors.ResourceExhaustedError,
        tf.errors.NotFoundError,
    ) as error:
        _fail(error.message, 1)


def _fail(problem, status):
    line = " ".join(str(problem).split())
    print(f"{sys.modules['__main__'].__spec__.name}: {line}", file=sys.stderr)
    sys.exit(status)
