"""Cancels TensorFlow's computation in a thread from another thread."""

import threading

from tensorflow.python.eager import cancellation

_in_this_thread = threading.local()

# When TensorFlow calls a function, it looks here for a cancellation manager. Its own context is shared by all threads.
cancellation.context = lambda: getattr(getattr(_in_this_thread, "within", None), "manager", None)


class Cancellation:
    """A context in which TensorFlow functions can be cancelled.

    After `cancel` in any thread, functions called in the context, in the thread that entered it, end soon with
    `tf.errors.CancelledError`. An operation that has begun runs to its end. If a function fails, TensorFlow also
    cancels the functions called after it, see `go_on`.

    Attributes:
        manager: TensorFlow's cancellation manager.
    """

    def __init__(self):
        self.manager = cancellation.CancellationManager()
        self._cancelled = False
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Cancels the functions of this context, now and later. May be called more than once."""
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
    """Lets functions run after one has failed within a `Cancellation`, unless that was cancelled."""
    within = getattr(_in_this_thread, "within", None)
    if within is not None:
        within._renew()
