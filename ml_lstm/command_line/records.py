"""Records of commands: JSON files that are written completely or not at all, and the commit that wrote them."""

import json
import subprocess
from pathlib import Path
from typing import Any

from ml_lstm.errors import UserError
from ml_lstm.whole_files import whole


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes `values` to a JSON file, atomically, see `whole`."""
    with whole(path) as place:
        place.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file of `write_json`.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is damaged: remove it and run the command that wrote it again.") from None


def commit() -> str | None:
    """The git commit of this code, with "+" if tracked files differ from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        # An installed package may be inside another repository, untracked.
        subprocess.run([*git, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")
