"""The protocol of the papers: mean accuracy over random episodes, with its 95 % confidence interval."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ml_lstm.methods import FewShotClassifier
from ml_lstm.methods.base import Statistics

EPISODES_AT_A_TIME = 8


class Accuracy(NamedTuple):
    """Summary of per-episode accuracies, all as fractions.

    Attributes:
        mean: over episodes.
        confidence_interval_95: half width of the interval of the mean, 1.96 standard errors.
        standard_deviation: between episodes.
        percentiles: of the episodes, at 5, 25, 50, 75 and 95 %.
    """

    mean: float
    confidence_interval_95: float
    standard_deviation: float
    percentiles: dict[int, float]

    @classmethod
    def of(cls, accuracies: np.ndarray) -> "Accuracy":
        """Summarises per-episode accuracies [N], N at least 2."""
        deviation = float(np.std(accuracies, ddof=1))
        percents = (5, 25, 50, 75, 95)
        return cls(
            float(np.mean(accuracies)),
            1.96 * deviation / len(accuracies) ** 0.5,
            deviation,
            {percent: float(np.percentile(accuracies, percent)) for percent in percents},
        )


def episode_accuracies(
    method: FewShotClassifier,
    episodes: tf.data.Dataset,
    query_statistics: Statistics = "support",
    batch_size: int = EPISODES_AT_A_TIME,
    done: Callable[[int], object] = lambda count: None,
) -> np.ndarray:
    """Accuracy of each episode, in order.

    Args:
        method: trained.
        episodes: a finite data set of `Episode`.
        query_statistics: see `FewShotClassifier.classify`.
        batch_size: episodes computed at a time; results do not depend on it.
        done: called with the number of newly finished episodes, for a progress bar.

    Returns:
        float32 [N].
    """
    accuracies = tf.function(
        lambda batch: method.episode_results(batch, query_statistics=query_statistics)[1], autograph=False
    )
    found = []
    for batch in episodes.batch(batch_size).prefetch(1):
        found.append(accuracies(batch).numpy())
        done(len(found[-1]))
    return np.concatenate(found)
