"""Exports of the zoo's models, each created once and kept in a cache."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import tensorflow as tf
from absl import logging

import ml_lstm
from ml_lstm.data import cache
from ml_lstm.errors import UserError
from ml_lstm.paths import for_tensorflow
from ml_lstm.zoo.entries import Entry, find

_PACKAGE = Path(ml_lstm.__file__).parent
_EXPORT = "ml_lstm.export"


def kept_export(name: str) -> Path:
    """The directory of an exported model of the zoo, `<cache>/exports/NAME/<key>/`; exports the model if needed.

    The key changes with the model's files, with this package's code, and with TensorFlow's version. The cache is
    `$XDG_CACHE_HOME/ml_lstm` or `~/.cache/ml_lstm`; it may be deleted at any time.

    Args:
        name: see `ml_lstm.zoo.load`.

    Raises:
        UserError: if there is no such model, or it cannot be exported.
    """
    entry = find(name)
    directory = for_tensorflow(cache.place(None) / "exports" / entry.name / _key(entry)).absolute()
    if any(directory.glob("[0-9]*/saved_model.pb")):
        logging.info("%s: exported before, to %s", entry.name, directory)
    else:
        logging.info("%s: exporting to %s, only this once; it takes about a minute", entry.name, directory)
        _export(entry, directory)
    return directory


def _key(entry: Entry) -> str:
    found = hashlib.sha256(tf.__version__.encode())
    for path in [*sorted(_PACKAGE.rglob("*.py")), *sorted(path for path in entry.path.iterdir() if path.is_file())]:
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def _export(entry, directory):
    """Exports in a separate process, so that the caller does not keep TensorFlow's memory and threads."""
    command = [sys.executable, "-m", _EXPORT, f"--model={entry.path.absolute()}", f"--export_dir={directory}"]
    # Makes the process use this package, wherever it is called from.
    paths = [str(_PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, errors="backslashreplace")
    if result.returncode:
        last = (result.stderr.splitlines() or [""])[-1]
        if not last.startswith(f"{_EXPORT}: "):
            raise RuntimeError(f"{entry.path} cannot be exported:\n{result.stderr}")
        raise UserError(last.removeprefix(f"{_EXPORT}: "))
