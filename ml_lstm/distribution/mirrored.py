"""Meta-steps distributed over several devices of one machine."""

import contextlib
from collections.abc import Sequence

import tensorflow as tf

from ml_lstm import keras_private
from ml_lstm.distribution.base import Distribution


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
        keras_private.hide_strategy(method)

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

        keras_private.set_train_function(method, train_function)

    def _first(self, results):
        """The results of this process's first replica; they are the same on every replica."""
        return tf.nest.map_structure(lambda value: self._strategy.experimental_local_results(value)[0], results)

    def should_stop(self):
        return self._stopping

    def dataset(self, sampler, start, meta_batch_size):
        share = meta_batch_size // self.replicas

        def of_worker(context: tf.distribute.InputContext):
            here = share * (self.replicas // context.num_input_pipelines)
            first = start + context.input_pipeline_id * here
            # For each meta-batch, the items of this worker, which its replicas take one after the other. An infinite
            # data set: otherwise TensorFlow would synchronise the workers at each step to check for more data.
            number = tf.autograph.experimental.do_not_convert(lambda n: first + n // here * meta_batch_size + n % here)
            return sampler.items(tf.data.Dataset.counter().map(number)).batch(share, drop_remainder=True)

        return self._strategy.distribute_datasets_from_function(of_worker)


def _same_on_every_replica(create, **arguments):
    """Creates a variable to which every replica writes the same value in a meta-step.

    The values written are already those of the whole meta-batch. This includes metrics and batch norm's averages, which
    Keras would otherwise sum over the replicas when read, and not allow to be written.
    """
    arguments["synchronization"] = tf.VariableSynchronization.AUTO
    arguments["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return create(**arguments)
