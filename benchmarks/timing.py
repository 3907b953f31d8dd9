"""What the benchmarks share."""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """How long each of `repeats` calls took."""
    durations = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        durations.append(time.perf_counter() - begin)
    return durations


def peak_resident_bytes() -> int:
    """The most memory that this process had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
