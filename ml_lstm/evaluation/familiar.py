"""Checks of probabilities and familiarity: episodes with queries of classes that are not in the support set."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ml_lstm.episode import Episode
from ml_lstm.methods import FewShotClassifier
from ml_lstm.methods.calibrated import Calibration, fitted_temperature

_KEPT = 200
_BINS = 15


class Answered(NamedTuple):
    """A method's answers to queries of many episodes.

    Attributes:
        logits: [n, K], of queries whose class was in the support set.
        labels: int [n], the classes of these queries.
        known: [n], the unfamiliarity of these queries.
        unknown: [m], the unfamiliarity of queries of other classes.
    """

    logits: np.ndarray
    labels: np.ndarray
    known: np.ndarray
    unknown: np.ndarray


def answered(method: FewShotClassifier, episodes: tf.data.Dataset, n_way: int) -> Answered:
    """Collects a method's answers to queries of classes that it adapted to, and of others.

    Args:
        method: trained.
        episodes: a finite data set of `Episode` with more classes than `n_way`.
        n_way: K, the number of classes in the support set, the first ones; queries of the others are unknown to it.
    """

    @tf.function(autograph=False)
    def ask(episode):
        support, queries = episode.support_labels < n_way, episode.query_labels < n_way
        adaptation = method.adapt(
            tf.boolean_mask(episode.support_images, support), tf.boolean_mask(episode.support_labels, support)
        )
        logits = method.classify(adaptation, episode.query_images)
        strange = method.unfamiliarity(adaptation, logits)
        known = [tf.boolean_mask(values, queries) for values in (logits[:, :n_way], episode.query_labels, strange)]
        return *known, tf.boolean_mask(strange, ~queries)

    parts = [[part.numpy() for part in ask(Episode(*episode))] for episode in episodes.prefetch(1)]
    return Answered(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def calibration_by(found: dict[int, Answered]) -> Calibration:
    """The calibration that turns a method's probabilities into frequencies.

    Args:
        found: its answers on classes that it was not trained on, by the number of support images in a class; two
            numbers.
    """
    places = (np.arange(_KEPT) + 0.5) / _KEPT
    shots = sorted(found)
    return Calibration(
        tuple(shots),
        tuple(float(f"{fitted_temperature(found[k].logits, found[k].labels):.4g}") for k in shots),
        tuple(tuple(float(f"{value:.6g}") for value in np.quantile(found[k].known, places)) for k in shots),
    )


def judged(calibration: Calibration, k_shot: int, found: Answered, threshold: float = 0.05) -> dict[str, float]:
    """Measures how well a method is calibrated.

    Args:
        calibration: of the method.
        k_shot: support images of each class; one of the numbers that it was calibrated on.
        found: answers of the calibrated method on classes that the calibration did not use.
        threshold: of familiarity; a query below it counts as belonging to none of the classes.

    Returns:
        `accuracy`; `calibration_error`, and `uncalibrated_error` before calibration: the mean difference between
        probability and accuracy, over bins of probability; `threshold`; `false_alarms`, the share of queries of known
        classes below the threshold, and `found`, that of unknown ones; `area_under_roc`, the share of pairs of a known
        and an unknown query in which the known one is more familiar.
    """
    _, temperature, unfamiliarities = next(at for at in zip(*calibration, strict=True) if at[0] == k_shot)
    known, unknown = (_familiarity(unfamiliarities, values) for values in (found.known, found.unknown))
    right = found.logits.argmax(axis=1) == found.labels
    order = np.argsort(np.concatenate([found.known, found.unknown]), kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(len(order))
    pairs = len(found.known) * len(found.unknown)
    stranger = ranks[len(found.known) :].sum() - len(found.unknown) * (len(found.unknown) - 1) / 2
    return {
        "accuracy": float(right.mean()),
        "calibration_error": _calibration_error(found.logits, right),
        "uncalibrated_error": _calibration_error(found.logits * temperature, right),
        "threshold": threshold,
        "false_alarms": float(np.mean(known < threshold)),
        "found": float(np.mean(unknown < threshold)),
        "area_under_roc": float(stranger / pairs),
    }


def _familiarity(unfamiliarities, strange):
    known = np.sort(unfamiliarities)
    return (1 + len(known) - np.searchsorted(known, strange, side="left")) / (len(known) + 1)


def _calibration_error(logits, right):
    """Expected calibration error (Guo et al. 2017): over bins of equal width, weighted by their number of queries."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    confidence = (exponentials / exponentials.sum(axis=1, keepdims=True)).max(axis=1)
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs((confidence - right)[bins == place].sum()) for place in range(_BINS)]
    return float(np.sum(gaps) / len(right))
