"""Memory that was freed goes back to the operating system."""

import asyncio
import ctypes
import gc

_SECONDS = 1
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def trim() -> None:
    """Gives back what glibc keeps: what was freed in the middle of a heap, of which each thread has its own.

    After a few large requests that is hundreds of megabytes. It takes a while, without Python's lock. Other libraries,
    musl and macOS's say, keep less, and have nothing to be called.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)


class Trimmer:
    """Calls `trim` once for many requests."""

    def __init__(self):
        self._is_due = False

    def trim_soon(self) -> None:
        """In a second, in a thread, if not already about to."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(_SECONDS, self._trim)

    def _trim(self):
        self._is_due = False
        gc.collect()  # errors hold what a request was, in circles; most of what there is, the store has frozen
        asyncio.get_running_loop().run_in_executor(None, trim)
