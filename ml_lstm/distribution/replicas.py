"""How the replicas of a `tf.distribute` strategy make one meta-step of their shares of a meta-batch.

With a single replica every function here returns what it was given.
"""

import keras
import tensorflow as tf

from ml_lstm import keras_private


def num_replicas() -> int:
    """How many replicas take this step together."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def joined(*per_episode: tf.Tensor) -> list[tf.Tensor]:
    """Joins what each replica has of its own episodes, in the order of the meta-batch.

    Args:
        *per_episode: [B / replicas] each.

    Returns:
        [B] each, the same on every replica.
    """
    replicas = num_replicas()
    if replicas == 1:
        return list(per_episode)
    context = tf.distribute.get_replica_context()
    # One place a replica, and a sum that adds nothing but zeros: exact, and what is not finite keeps its place.
    own = tf.equal(tf.range(replicas), tf.cast(context.replica_id_in_sync_group, tf.int32))
    places = [tf.where(own[:, None], tensor[None], tf.zeros_like(tensor)[None]) for tensor in per_episode]
    return [tf.reshape(tensor, [-1]) for tensor in context.all_reduce(tf.distribute.ReduceOp.SUM, places)]


def mean(tensors: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """Means over the replicas, the same on every one; None stays None."""
    replicas = num_replicas()
    if replicas == 1:
        return tensors
    shares = [tf.convert_to_tensor(tensor) / replicas for tensor in tensors if tensor is not None]
    context = tf.distribute.get_replica_context()
    reduced = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, shares) if shares else ())
    return [None if tensor is None else next(reduced) for tensor in tensors]


def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients, variables) -> None:
    """Lets an optimizer apply gradients that are the same on every replica, as `mean` leaves them."""
    if num_replicas() > 1:
        keras_private.leave_out_the_sum(optimizer)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
