"""The interface of whatever shares a run's meta-steps, and the one that shares nothing."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from ml_lstm.data.sampler import Sampler
from ml_lstm.errors import UserError


class Distribution:
    """How a run's meta-steps are shared; not at all unless a subclass says otherwise.

    Attributes:
        replicas: how many share a meta-batch, on all machines together.
        is_chief: whether this process is the one that writes and speaks.
        status_when_stopped: what a process exits with that was asked to stop.
    """

    replicas = 1
    is_chief = True
    status_when_stopped = 0

    def __init__(self):
        self._stop_requested = lambda: False

    def start(self) -> None:
        """Waits for the other workers, if there are any; goes before TensorFlow's first operation."""

    def scope(self) -> contextlib.AbstractContextManager:
        """In which the method is made and compiled."""
        return contextlib.nullcontext()

    def prepare(self, method: keras.Model, stop_requested: Callable[[], bool]) -> None:
        """Makes a method ready for `fit`, which goes outside the scope.

        Args:
            method: made and compiled in the scope.
            stop_requested: whether this process was asked to stop.
        """
        self._stop_requested = stop_requested

    def should_stop(self) -> bool:
        """Whether any process had been asked to stop at the last meta-step: the same answer in all of them."""
        return self._stop_requested()

    def dataset(self, sampler: Sampler, start: int, meta_batch_size: int) -> tf.data.Dataset:
        """Meta-batches from item `start` on, without end, for `fit`."""
        return sampler.dataset(start).batch(meta_batch_size, drop_remainder=True).prefetch(2)

    def workers(self, number: float) -> list[float]:
        """What each worker called this with, the chief first; waits for them all."""
        return [number]

    @contextlib.contextmanager
    def attended(self) -> Iterator[None]:
        """Within it the loss of another worker is a `TryAgainError`."""
        yield

    def require_same(self, what: str, value) -> None:
        """Refuses workers that do not agree; waits for them all.

        Args:
            what: for the message.
            value: anything JSON can hold.

        Raises:
            UserError: on every worker, if `value` is not the same on all.
        """
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
        found = self.workers(int.from_bytes(digest[:6]))  # as many bits as a float64 holds
        others = [str(index) for index, number in enumerate(found) if number != found[0]]
        if others:
            raise UserError(
                f"Worker {', '.join(others)} and worker 0 (the chief) differ in {what}: make them the same."
            )
