"""Ending what TensorFlow computes in a thread, from another thread."""

import threading

from tensorflow.python.eager import cancellation

_in_this_thread = threading.local()

# TensorFlow looks here, as it calls a function, for what may cancel it; its own context is one for all threads.
cancellation.context = lambda: getattr(getattr(_in_this_thread, "within", None), "manager", None)


class Cancellation:
    """Functions that are called within it, in the thread that entered it, end soon after `cancel` in any thread.

    They raise `tf.errors.CancelledError` then. An operation that has begun goes on to its end. A function that fails
    cancels, by TensorFlow's doing, those that are called after it: see `go_on`.

    Attributes:
        manager: TensorFlow's.
    """

    def __init__(self):
        self.manager = cancellation.CancellationManager()
        self._cancelled = False
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Ends what runs within, now and later. May be called more than once."""
        with self._lock:
            self._cancelled = True
            self.manager.start_cancel()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def __enter__(self):
        _in_this_thread.within = self
        return self

    def __exit__(self, *_):
        _in_this_thread.within = None

    def _renew(self):
        with self._lock:
            if not self._cancelled:
                self.manager = cancellation.CancellationManager()


def go_on() -> None:
    """After a function failed that was called within a `Cancellation`: the next ones run, unless it was cancelled."""
    within = getattr(_in_this_thread, "within", None)
    if within is not None:
        within._renew()
