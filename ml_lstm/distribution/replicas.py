"""Combines the results of the replicas of a `tf.distribute` strategy into one meta-step.

Each replica has its share of a meta-batch. With a single replica, every function here returns its arguments.
"""

import keras
import tensorflow as tf

from ml_lstm import keras_private


def num_replicas() -> int:
    """The number of replicas that share this step."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def joined(*per_episode: tf.Tensor) -> list[tf.Tensor]:
    """Joins the replicas' values per episode, in the order of the meta-batch.

    Args:
        *per_episode: tensors of shape [B / replicas].

    Returns:
        Tensors of shape [B], the same on every replica.
    """
    replicas = num_replicas()
    if replicas == 1:
        return list(per_episode)
    context = tf.distribute.get_replica_context()
    # One row per replica. The sum adds only zeros to each, so it is exact, and non-finite values stay in their rows.
    own = tf.equal(tf.range(replicas), tf.cast(context.replica_id_in_sync_group, tf.int32))
    places = [tf.where(own[:, None], tensor[None], tf.zeros_like(tensor)[None]) for tensor in per_episode]
    return [tf.reshape(tensor, [-1]) for tensor in context.all_reduce(tf.distribute.ReduceOp.SUM, places)]


def mean(tensors: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """Means over the replicas, the same on every replica; None stays None."""
    replicas = num_replicas()
    if replicas == 1:
        return tensors
    shares = [tf.convert_to_tensor(tensor) / replicas for tensor in tensors if tensor is not None]
    context = tf.distribute.get_replica_context()
    reduced = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, shares) if shares else ())
    return [None if tensor is None else next(reduced) for tensor in tensors]


def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients, variables) -> None:
    """Applies gradients that are the same on every replica, for example the results of `mean`."""
    if num_replicas() > 1:
        keras_private.leave_out_the_sum(optimizer)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
