"""The results of `evaluate` for a run: one file each; none replaces another result."""

import hashlib
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

from ml_lstm.command_line.records import write_json
from ml_lstm.errors import UserError

_QUOTED = ("accuracy", "confidence_interval_95", "episodes", "dataset", "data_dir", "split", "n_way", "k_shot")
_QUOTED += ("n_query", "within_alphabets", "transductive_batch_norm", "inner_steps", "train_episodes")
_REQUIRED = ("accuracy", "confidence_interval_95", "episodes", "dataset", "split", "n_way", "k_shot", "n_query")

# Fields that differ between two measurements of the same thing.
_OF_THE_DAY = ("evaluate_seconds", "train_seconds", "device", "commit")


def write(directory: Path, record: dict[str, Any]) -> Path:
    """Writes a result under a name that describes it; an existing file with another result stays.

    Args:
        directory: of the run.
        record: the result; it must hold the fields that `read` returns.

    Returns:
        The file: `evaluate-<data>-<split>-<problem>-<episodes>episodes.json`, with a number if that name is taken.
    """
    name = _name(record)
    for number in itertools.count(1):
        path = directory / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        if not path.exists() or _is_same(path, record):
            write_json(path, record)
            return path


def _name(record):
    place = record["data_dir"]
    if place:  # its last part, which other directories may share, and a few characters of a hash of all of it
        last = re.sub(r"[^\w.-]+", "_", Path(place).name, flags=re.ASCII)[:40]
        place = f"-{last}-{hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:6]}"
    setting = f"{record['n_way']}way-{record['k_shot']}shot-{record['n_query']}query-{record['episodes']}episodes"
    more = "-within_alphabets" if record.get("within_alphabets") else ""
    more += "-transductive" if record["transductive_batch_norm"] else ""
    more += f"-{record['inner_steps']}steps" if "inner_steps" in record else ""
    more += "-by_instance" if "instance_accuracies" in record else ""
    more += f"-new_base_{record['new_base_filters']}" if "new_base_filters" in record else ""
    return f"evaluate-{record['dataset']}{place or ''}-{record['split']}-{setting}{more}"


def _is_same(path, record):
    """Whether a file holds the same result as a record."""
    try:
        there, mine = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(record))
        return _of_any_day(there) == _of_any_day(mine)
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _of_any_day(record):
    return {name: value for name, value in record.items() if name not in _OF_THE_DAY}


def read(directory: Path) -> list[dict[str, Any]]:
    """All results, whichever version of ml_lstm wrote them; a field that an older version did not write is None.

    Raises:
        UserError: for a file that is not a result.
    """
    return [read_result(path) for path in sorted(directory.glob("evaluate-*.json"))]


def newest(directory: Path) -> dict[str, Any] | None:
    """The result written last, with `train_seconds` (None in an older one); None if there are no results.

    Raises:
        UserError: if the file is not a result, or damaged.
    """
    paths = sorted(directory.glob("evaluate-*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    if not paths:
        return None
    result = read_result(paths[-1])
    seconds = json.loads(paths[-1].read_text(encoding="utf-8")).get("train_seconds")
    return result | {"train_seconds": seconds if _is_number(seconds) else None}


def read_result(path: Path) -> dict[str, Any]:
    """Reads one result.

    Raises:
        UserError: for a file that is not a result.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if not all(_is_number(result[name]) == (name not in ("dataset", "split")) for name in _REQUIRED):
            raise ValueError
        return {name: result.get(name) for name in _QUOTED}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path} is not a result of evaluate, or damaged: remove it, or evaluate again.") from None


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
