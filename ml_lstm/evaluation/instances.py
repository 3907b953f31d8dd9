"""The protocol of Santoro et al. (2016): accuracy at the first, second, ... time that a class is seen in a sequence."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ml_lstm.episode import correct
from ml_lstm.evaluation.protocol import EPISODES_AT_A_TIME
from ml_lstm.methods.mann import MemoryAugmentedNetwork, instances


def instance_accuracies(
    method: MemoryAugmentedNetwork,
    episodes: tf.data.Dataset,
    batch_size: int = EPISODES_AT_A_TIME,
    seed: int = 0,
    done: Callable[[int], object] = lambda count: None,
) -> np.ndarray:
    """How often the method names each instance of a class correctly, as it comes.

    The images of an episode, support set and queries, form one sequence in random order. The first instance of a class
    can only be guessed.

    Args:
        method: trained.
        episodes: a finite data set of `Episode`, with equally many images in each class.
        batch_size: episodes computed at a time; results do not depend on it.
        seed: of the orders.
        done: called with the number of newly finished episodes, for a progress bar.

    Returns:
        float32 [N, n]: the mean over the classes of each episode, for each of n instances.
    """

    @tf.function(autograph=False)
    def accuracies(batch, first):
        images = tf.concat([batch.support_images, batch.query_images], axis=1)
        labels = tf.concat([batch.support_labels, batch.query_labels], axis=1)
        count, length = tf.shape(labels)[0], tf.shape(labels)[1]
        orders = tf.map_fn(
            lambda index: tf.random.experimental.index_shuffle(tf.range(length), [seed, index], length - 1),
            first + tf.range(count),
        )
        images, labels = (tf.gather(tensor, orders, batch_dims=1) for tensor in (images, labels))
        right = correct(labels, method.sequence_logits(images, labels))
        seen = tf.one_hot(instances(labels), length)
        counts = tf.reduce_sum(seen, axis=1)
        return tf.math.divide_no_nan(tf.reduce_sum(seen * right[..., None], axis=1), counts), counts

    rows, first = [], 0
    for batch in episodes.batch(batch_size).prefetch(1):
        values, counts = accuracies(batch, tf.constant(first))
        most = int(tf.reduce_sum(tf.cast(counts[0] > 0, tf.int32)))
        rows.append(values[:, :most].numpy())
        first += values.shape[0]
        done(values.shape[0])
    return np.concatenate(rows)
