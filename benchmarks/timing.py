"""Parts shared by the benchmarks: timing and memory."""

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """The seconds of each of `repeats` calls."""
    durations = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begin)
    return durations


def peak_resident_bytes() -> int:
    """The peak memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # this process's own: on Linux `getrusage` starts from that of the parent process
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measured_apart(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The JSON that `python -m module` writes to its `--json` in a separate process; its output is dropped."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "measured.json"
        command = [sys.executable, "-m", module, *arguments, f"--json={file}"]
        subprocess.run(command, check=True, stdout=subprocess.PIPE)
        return json.loads(file.read_text())
