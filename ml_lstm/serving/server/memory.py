"""Returns freed memory to the operating system."""

import asyncio
import ctypes
import gc
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_MOST_IN_HEAP = 32 * 1024**2  # the largest threshold that glibc accepts
_glibc = ctypes.CDLL(None)
_malloc_trim = getattr(_glibc, "malloc_trim", None)
_mallopt = getattr(_glibc, "mallopt", None)


def take_from_system() -> None:
    """Makes TensorFlow allocate through the C library, unless the environment says otherwise, and limits its heaps.

    With oneDNN, TensorFlow has a pool for tensors that never returns memory: hundreds of megabytes after one unusual
    image. By default, glibc would return and request memory for each tensor of more than 128 KiB, which takes a third
    of the time at 84x84; so it is set to keep freed memory until `trim`. It gets at most one heap per core, because
    `trim` does not free the last piece of any heap but the first. Call this before the first operation.
    """
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    if _mallopt is not None:
        _mallopt(_M_MMAP_THRESHOLD, _MOST_IN_HEAP)
        _mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        _mallopt(_M_ARENA_MAX, os.cpu_count())


def trim() -> None:
    """Returns memory that glibc keeps: memory freed in the middle of a heap, of which there are several.

    After a few large requests this is hundreds of megabytes. It takes a while, without Python's lock. Other libraries,
    for example musl and that of macOS, keep less and have no such function.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)


class Trimmer:
    """Calls `trim` once for many requests."""

    def __init__(self):
        self._due: asyncio.TimerHandle | None = None

    def trim_within(self, seconds: float) -> None:
        """Schedules `trim` in a thread, at most `seconds` later."""
        loop = asyncio.get_running_loop()
        if self._due is not None:
            if self._due.when() <= loop.time() + seconds:
                return
            self._due.cancel()
        self._due = loop.call_later(seconds, self._trim)

    def _trim(self):
        self._due = None
        gc.collect()  # errors keep requests in reference cycles; the store has frozen most other objects
        asyncio.get_running_loop().run_in_executor(None, trim)
