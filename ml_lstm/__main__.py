"""All commands by one name: `ml-lstm COMMAND ...` does what `python -m ml_lstm.COMMAND ...` does."""

import difflib
import os
import runpy
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import ml_lstm

_COMMANDS = {
    "train": "meta-train a few-shot classifier",
    "evaluate": "measure its accuracy on new classes",
    "export": "write it as a SavedModel that learns from requests",
    "adapt": "learn classes from folders of images and classify other images",
    "serve": "serve exported models over REST and gRPC, with a web page",
    "compare": "compare runs in a table and as learning curves",
    "gates": "write or plot the gates of a run's update rule",
    "data": "list data sets, or check one",
    "studies": "run an experiment of the papers: ml-lstm studies NAME (in a checkout)",
}
_HELP = "ml-lstm COMMAND --help lists the options of a command, --helpfull all flags."


def main() -> None:
    """Runs a command by name. Without a command, TensorFlow is not imported."""
    name, *rest = sys.argv[1:] or [""]
    if name in ("--help", "-h", "help"):
        print(_usage())
    elif name == "--version":
        print(f"ml_lstm {ml_lstm.__version__}")
    elif not name:
        _refuse(f"give a command, one of {', '.join(_COMMANDS)}. {_HELP}")
    elif name not in _COMMANDS:
        _refuse(f"there is no command {name!r}. {_did_you_mean(name, _COMMANDS)}")
    elif name == "studies":
        _run(_study(rest), rest[1:])
    else:
        _run(f"ml_lstm.{name}", rest)


def _usage() -> str:
    commands = "\n".join(f"  {name:10}{words}" for name, words in _COMMANDS.items())
    return f"usage: ml-lstm COMMAND [--OPTION=VALUE ...]\n       ml-lstm --version\n\n{commands}\n\n{_HELP}"


def _run(module: str, arguments: list[str]) -> None:
    """Runs a module like `python -m`, with the working directory on the path, where a user's learner may be."""
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd()
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _study(arguments: list[str]) -> str:
    """The module of a study by name. Studies are in a checkout beside the package, not in the wheel."""
    checkout = Path(ml_lstm.__file__).parents[1]
    if not (checkout / "studies" / "harness.py").exists():
        _refuse("the studies are in the checkout of ml_lstm, not in the package: run the command in a checkout.")
    sys.path.insert(1, str(checkout))
    import studies

    name = arguments[0] if arguments else ""
    if name not in studies.names():
        said = f"there is no study {name!r}" if name else "give the name of a study"
        _refuse(f"{said}. {_did_you_mean(name, studies.names())}")
    return f"studies.{name}"


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, names)
    return f"Did you mean {' or '.join(close)}?" if close else f"There are {', '.join(names)}."


def _refuse(line: str) -> NoReturn:
    print(f"ml-lstm: {line}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
