"""What the benchmarks share."""

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
