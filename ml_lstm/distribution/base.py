"""The interface of distributions, and the default one, which uses one device."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from ml_lstm.data.sampler import Sampler
from ml_lstm.errors import UserError


class Distribution:
    """How a run's meta-steps are distributed. The base class uses one device; subclasses use several.

    Attributes:
        replicas: number of replicas that share a meta-batch, on all machines together.
        is_chief: whether this process writes files and prints.
        status_when_stopped: exit code of a process that was asked to stop.
    """

    replicas = 1
    is_chief = True
    status_when_stopped = 0

    def __init__(self):
        self._stop_requested = lambda: False

    def start(self) -> None:
        """Waits for the other workers, if there are any; call it before TensorFlow's first operation."""

    def scope(self) -> contextlib.AbstractContextManager:
        """The context in which the method is created and compiled."""
        return contextlib.nullcontext()

    def prepare(self, method: keras.Model, stop_requested: Callable[[], bool]) -> None:
        """Prepares a method for `fit`, which is called outside the scope.

        Args:
            method: created and compiled in the scope.
            stop_requested: returns whether this process was asked to stop.
        """
        self._stop_requested = stop_requested

    def should_stop(self) -> bool:
        """Whether any process had been asked to stop at the last meta-step: the same answer in all of them."""
        return self._stop_requested()

    def dataset(self, sampler: Sampler, start: int, meta_batch_size: int) -> tf.data.Dataset:
        """An infinite data set of meta-batches from item `start` on, for `fit`."""
        return sampler.dataset(start).batch(meta_batch_size, drop_remainder=True).prefetch(2)

    def workers(self, number: float) -> list[float]:
        """Gathers each worker's `number`, the chief's first; waits for all workers."""
        return [number]

    @contextlib.contextmanager
    def attended(self) -> Iterator[None]:
        """A context in which the loss of another worker raises `TryAgainError`."""
        yield

    def require_same(self, what: str, value) -> None:
        """Checks that all workers have the same value; waits for all workers.

        Args:
            what: description of the value, for the message.
            value: anything serializable to JSON.

        Raises:
            UserError: on every worker, if `value` is not the same on all.
        """
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
        found = self.workers(int.from_bytes(digest[:6]))  # a float64 represents 48 bits exactly
        others = [str(index) for index, number in enumerate(found) if number != found[0]]
        if others:
            raise UserError(
                f"Worker {', '.join(others)} and worker 0 (the chief) differ in {what}: make them the same."
            )
