"""Meta-training on several devices or machines, to the result of one device with the same meta-batch.

Each replica takes its share of a meta-batch's episodes; `ml_lstm.methods.replicas` makes one meta-step of the shares.
Meta-validation is not shared: every worker classifies all episodes by itself, and the chief's accuracy counts.

Keras 3.15's own `fit` has two faults under `MultiWorkerMirroredStrategy`. Before training it takes the mean over the
replicas of a batch of inputs, only to learn their shapes (`_maybe_symbolic_build`), which fails for images, as they
are integers; and it takes the mean of a step's logs over their axis 0 (`reduce_per_replica`), which scalars lack. Both
happen only where a model knows its strategy. `Distribution.prepare` therefore keeps it from the model: for `fit` there
is nothing but a function that makes a step and an iterator that goes with it, and only the step is shared.
"""

import contextlib
import hashlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf

from ml_lstm.data.sampler import Sampler
from ml_lstm.errors import TryAgainError, UserError
from ml_lstm.methods import FewShotClassifier

STRATEGIES = ("none", "mirrored", "multi_worker")

_LAUNCH = "docs/distributed.md shows how to launch workers"

# What a collective operation ends with when another worker is gone, or never was there.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


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

    def prepare(self, method: FewShotClassifier, stop_requested: Callable[[], bool]) -> None:
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


class Mirrored(Distribution):
    """Several devices of this machine.

    Args:
        devices: names such as `gpu:0`.
    """

    def __init__(self, devices: Sequence[str]):
        super().__init__()
        self.replicas = len(devices)
        self._devices = [f"/{device}" for device in devices]
        self._stopping = False

    def start(self):
        self._strategy = self._make_strategy()

    def _make_strategy(self):
        return tf.distribute.MirroredStrategy(self._devices)

    @contextlib.contextmanager
    def scope(self):
        with self._strategy.scope(), tf.variable_creator_scope(_same_on_every_replica):
            yield

    def prepare(self, method, stop_requested):
        super().prepare(method, stop_requested)
        method._distribute_strategy = None  # see this file's first lines

        def replica_step(episodes, stop):
            context = tf.distribute.get_replica_context()
            return method.train_step(episodes), context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(stop))

        @tf.function(autograph=False)
        def step(iterator, stop):
            return self._first(self._strategy.run(replica_step, args=(next(iterator), stop)))

        def train_function(iterator):
            logs, stop = step(iterator, tf.constant(self._stop_requested(), tf.float32))
            self._stopping = bool(stop > 0)
            return logs

        method.train_function = train_function

    def _first(self, results):
        """Of results that are the same on every replica, those of the first one here."""
        return tf.nest.map_structure(lambda value: self._strategy.experimental_local_results(value)[0], results)

    def should_stop(self):
        return self._stopping

    def dataset(self, sampler, start, meta_batch_size):
        share = meta_batch_size // self.replicas

        def of_worker(context: tf.distribute.InputContext):
            here = share * (self.replicas // context.num_input_pipelines)
            first = start + context.input_pipeline_id * here
            # Of each meta-batch in turn the items of this worker, which its replicas take one after the other.
            # Endless by its kind: TensorFlow would have the workers agree at each step whether there is more.
            number = tf.autograph.experimental.do_not_convert(lambda n: first + n // here * meta_batch_size + n % here)
            return sampler.items(tf.data.Dataset.counter().map(number)).batch(share, drop_remainder=True)

        return self._strategy.distribute_datasets_from_function(of_worker)


class MultiWorker(Mirrored):
    """Several machines, or processes, that find each other by the environment variable TF_CONFIG.

    Args:
        devices: of this worker: `gpu:0`, ..., all that TensorFlow sees, or `cpu:0`.
        config: what TF_CONFIG says.

    Raises:
        UserError: if that is no description of a cluster and of this process's place in it.
    """

    # Another than 0: a cluster would take the job for done, when one of its machines was only needed elsewhere.
    status_when_stopped = TryAgainError.status

    def __init__(self, devices: Sequence[str], config: str | None):
        super().__init__(devices)
        chief, workers, index, self._address = _place(config)
        if len(devices) > 1 and devices[0].startswith("cpu"):
            raise UserError("--strategy=multi_worker takes one CPU device a worker: start more workers instead.")
        self._index = index
        self.is_chief = index == 0
        self._number_of_workers = chief + workers
        self.replicas = len(devices) * self._number_of_workers

    def _make_strategy(self):
        print(
            f"Worker {self._index} of {self._number_of_workers}, at {self._address}, looks for the others.", flush=True
        )
        try:
            with self.attended():
                strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.UnknownError as error:
            raise UserError(f"{self._address}: cannot listen there ({error.message}): is the port in use?") from error
        # TensorFlow has taken SIGTERM for itself and does nothing about it; until training there is nothing to save.
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
            # Where the graph was made comes first, in paragraphs of its own.
            reason = " ".join(error.message.rpartition("\n\n")[-1].split())[:200]
            raise TryAgainError(
                "Another worker is gone, or cannot be reached: start the same command again on every worker, and the "
                f"run goes on from its last save. TensorFlow says: {type(error).__name__}, {reason}"
            ) from error


def distribution(strategy: str, devices: Sequence[str], environment: Mapping[str, str] = os.environ) -> Distribution:
    """The `Distribution` of one of `STRATEGIES`, not yet started.

    Args:
        strategy: its name.
        devices: of this machine, to train on.
        environment: where TF_CONFIG is looked for.

    Raises:
        UserError: for devices or a TF_CONFIG that do not go with it.
    """
    if strategy == "multi_worker":
        return MultiWorker(devices, environment.get("TF_CONFIG"))
    return Mirrored(devices) if strategy == "mirrored" else Distribution()


def require_shareable(shared: Distribution, name: str, method: type[FewShotClassifier], meta_batch_size: int) -> None:
    """Refuses what would not come to the result of one device.

    Args:
        shared: how meta-steps are to be shared.
        name: `--method`.
        method: its class.
        meta_batch_size: episodes a step.

    Raises:
        UserError: if the method takes a meta-batch as a whole or has no meta-steps, or the shares would be unequal.
    """
    if isinstance(shared, Mirrored) and method.trains_on is None:
        raise UserError(f"--method={name} trains nothing that could be shared: leave out --strategy.")
    if shared.replicas > 1 and not method.splits_meta_batch:
        raise UserError(
            f"--method={name} takes a meta-batch as a whole, which no devices can share: leave out --strategy."
        )
    if meta_batch_size % shared.replicas:
        raise UserError(
            f"--meta_batch_size={meta_batch_size} cannot be shared evenly by {shared.replicas} devices: give a "
            f"multiple of {shared.replicas}."
        )


def _same_on_every_replica(create, **arguments):
    """Makes a variable whose value, whatever a meta-step writes, is written alike by every replica.

    By then all of it is of the whole meta-batch: metrics and batch norm's averages too, which Keras would have summed
    over the replicas when read, and refuse to be written.
    """
    arguments["synchronization"] = tf.VariableSynchronization.AUTO
    arguments["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return create(**arguments)


def _place(config: str | None) -> tuple[int, int, int, str]:
    """Numbers of chiefs and of workers in TF_CONFIG, which of them this process is, the chief 0, and its address."""
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
        raise UserError("TF_CONFIG names an address twice: every worker needs one of its own.")
    if set(addresses) - {"chief", "worker"} or chiefs > 1:
        raise UserError(f"TF_CONFIG must name workers, and one chief at most, got {sorted(addresses)}.")
    if type(index) is not int or not 0 <= index < len(addresses.get(str(kind), ())):
        raise UserError(f"TF_CONFIG says that this is task {kind!r} number {index!r}, which its cluster does not have.")
    return chiefs, workers, index + (chiefs if kind == "worker" else 0), addresses[kind][index]
