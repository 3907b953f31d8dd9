"""Meta-steps distributed over several machines or processes, which find each other through TF_CONFIG."""

import contextlib
import json
import re
import signal
from collections.abc import Sequence

import tensorflow as tf

from ml_lstm.distribution.mirrored import Mirrored
from ml_lstm.errors import TryAgainError, UserError

_LAUNCH = "docs/distributed.md shows how to launch workers"

# Errors of a collective operation when another worker is lost, or never started.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class MultiWorker(Mirrored):
    """Several machines or processes, which find each other through the environment variable TF_CONFIG.

    Args:
        devices: devices of this worker: `gpu:0`, ..., all that TensorFlow sees, or `cpu:0`.
        config: the value of TF_CONFIG.

    Raises:
        UserError: if `config` does not describe a cluster and this process's task in it.
    """

    # Not 0: otherwise a cluster that only needs a machine elsewhere would consider the job complete.
    status_when_stopped = TryAgainError.status

    def __init__(self, devices: Sequence[str], config: str | None):
        super().__init__(devices)
        chief, workers, index, self._address = _place(config)
        if len(devices) > 1 and devices[0].startswith("cpu"):
            raise UserError("--strategy=multi_worker takes one CPU device per worker: start more workers instead.")
        self._index = index
        self.is_chief = index == 0
        self._number_of_workers = chief + workers
        self.replicas = len(devices) * self._number_of_workers

    def _make_strategy(self):
        print(
            f"Worker {self._index} of {self._number_of_workers}, at {self._address}, waits for the others.", flush=True
        )
        try:
            with self.attended():
                strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.UnknownError as error:
            raise UserError(
                f"Cannot listen on {self._address} ({error.message}): check that the port is free."
            ) from error
        # TensorFlow installs a handler for SIGTERM that does nothing. Before training there is nothing to save.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return strategy

    def start(self):
        super().start()

        def replica_numbers(number):
            context = tf.distribute.get_replica_context()
            own = tf.one_hot(context.replica_id_in_sync_group, self.replicas, dtype=tf.float64)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own * number)

        @tf.function(autograph=False)
        def numbers(number):
            return self._first(self._strategy.run(replica_numbers, args=(number,)))

        self._numbers = numbers

    def workers(self, number):
        with self.attended():
            numbers = self._numbers(tf.constant(number, tf.float64)).numpy().tolist()
        return numbers[:: self.replicas // self._number_of_workers]

    @contextlib.contextmanager
    def attended(self):
        try:
            yield
        except _LOST as error:
            # The message begins with paragraphs about where the graph was created.
            reason = " ".join(error.message.rpartition("\n\n")[-1].split())[:200]
            raise TryAgainError(
                "Another worker is lost or cannot be reached: run the same command again on every worker, and the "
                f"run resumes from its last save. TensorFlow's error: {type(error).__name__}, {reason}"
            ) from error


def _place(config: str | None) -> tuple[int, int, int, str]:
    """Number of chiefs and of workers in TF_CONFIG, the index of this process (the chief's is 0), and its address."""
    if not config:
        raise UserError(f"--strategy=multi_worker needs TF_CONFIG in the environment: {_LAUNCH}.")
    try:
        values = json.loads(config)
        cluster, kind, index = values["cluster"], values["task"]["type"], values["task"]["index"]
        addresses = {job: list(cluster[job]) for job in cluster}
        chiefs, workers = (len(addresses.get(job, ())) for job in ("chief", "worker"))
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f'TF_CONFIG must be JSON like {{"cluster": {{"worker": ["HOST:PORT", ...]}}, "task": {{"type": "worker", '
            f'"index": 0}}}}, got {config[:200]!r}: {_LAUNCH}.'
        ) from None
    named = [address for job in addresses.values() for address in job]
    wrong = [address for address in named if not re.fullmatch(r"\S+:[0-9]+", str(address))]
    if wrong:
        raise UserError(f"TF_CONFIG has the address {wrong[0]!r}: addresses must be HOST:PORT.")
    if len(set(named)) < len(named):
        raise UserError("TF_CONFIG has an address twice: every worker needs its own.")
    if set(addresses) - {"chief", "worker"} or chiefs > 1:
        raise UserError(f"TF_CONFIG must have workers, and at most one chief, got {sorted(addresses)}.")
    if type(index) is not int or not 0 <= index < len(addresses.get(str(kind), ())):
        raise UserError(
            f"TF_CONFIG has task {kind!r} number {index!r} for this process, but its cluster has no such task."
        )
    return chiefs, workers, index + (chiefs if kind == "worker" else 0), addresses[kind][index]
