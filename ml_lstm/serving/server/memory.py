"""Memory that was freed goes back to the operating system."""

import asyncio
import ctypes
import gc
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_MOST_IN_HEAP = 32 * 1024**2  # the most that glibc takes for the threshold
_glibc = ctypes.CDLL(None)
_malloc_trim = getattr(_glibc, "malloc_trim", None)
_mallopt = getattr(_glibc, "mallopt", None)


def take_from_system() -> None:
    """Has TensorFlow take memory from the C library, unless the environment says otherwise, and that keep it a while.

    With oneDNN on, TensorFlow has a pool for tensors that never gives back: hundreds of megabytes after one strange
    picture. glibc would give back and ask again for each tensor of more than 128 KiB, which takes a third of the time
    at 84x84; so it keeps what is freed until `trim`. It gets a heap for each core only, as of those beside the first
    one `trim` leaves the last piece. Goes before the first operation.
    """
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    if _mallopt is not None:
        _mallopt(_M_MMAP_THRESHOLD, _MOST_IN_HEAP)
        _mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        _mallopt(_M_ARENA_MAX, os.cpu_count())


def trim() -> None:
    """Gives back what glibc keeps: what was freed in the middle of a heap, of which there are several.

    After a few large requests that is hundreds of megabytes. It takes a while, without Python's lock. Other libraries,
    musl and macOS's say, keep less, and have nothing to be called.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)


class Trimmer:
    """Calls `trim` once for many requests."""

    def __init__(self):
        self._due: asyncio.TimerHandle | None = None

    def trim_within(self, seconds: float) -> None:
        """In a thread, at most so much later."""
        loop = asyncio.get_running_loop()
        if self._due is not None:
            if self._due.when() <= loop.time() + seconds:
                return
            self._due.cancel()
        self._due = loop.call_later(seconds, self._trim)

    def _trim(self):
        self._due = None
        gc.collect()  # errors hold what a request was, in circles; most of what there is, the store has frozen
        asyncio.get_running_loop().run_in_executor(None, trim)
