"""Ending what TensorFlow computes in a thread, from another thread."""

import threading

from tensorflow.python.eager import cancellation

_in_this_thread = threading.local()

# TensorFlow looks here, as it calls a function, for what may cancel it; its own context is one for all threads.
cancellation.context = lambda: getattr(_in_this_thread, "manager", None)


class Cancellation:
    """Functions that are called within it, in the thread that entered it, end soon after `cancel` in any thread.

    They raise `tf.errors.CancelledError` then. An operation that has begun goes on to its end.
    """

    def __init__(self):
        self._manager = cancellation.CancellationManager()

    def cancel(self) -> None:
        """Ends what runs within, now and later. May be called more than once."""
        self._manager.start_cancel()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._manager.is_cancelled

    def __enter__(self):
        _in_this_thread.manager = self._manager
        return self

    def __exit__(self, *_):
        _in_this_thread.manager = None
