"""What is said of a calibration, beside NumPy and scikit-learn on the same numbers."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from ml_lstm.episode import Episode, Problem
from ml_lstm.evaluation.familiar import Answered, answered, calibration_by, judged
from ml_lstm.methods import Calibration, PixelNearestNeighbour

SHAPE = (4, 4, 1)


def method():
    return PixelNearestNeighbour(Problem(SHAPE, 2))


def random_answers(seed=0):
    random = np.random.default_rng(seed)
    logits, labels = random.normal(0, 2, (900, 5)), random.integers(0, 5, 900)
    logits[np.arange(900), labels] += 2
    return Answered(logits, labels, random.normal(0, 1, 900), random.normal(1.5, 1, 700))


def test_a_query_of_a_class_that_the_support_set_has_is_known():
    shades = np.repeat(np.uint8([10, 90, 170, 250]), 3)[:, None, None, None] * np.ones(SHAPE, np.uint8)
    labels = np.repeat(np.arange(4, dtype=np.int32), 3)
    episode = tf.data.Dataset.from_tensors(Episode(shades, labels, shades[::3], labels[::3]))
    found = answered(method(), episode.repeat(2), n_way=2)
    assert found.logits.shape == (4, 2)
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert (len(found.known), len(found.unknown)) == (4, 4)


def test_the_rates_of_the_calibration_are_those_of_its_own_answers():
    found = random_answers()
    calibration = calibration_by({5: found, 1: random_answers(2)})
    assert calibration.shots == (1, 5)
    assert [len(values) for values in calibration.unfamiliarities] == [200, 200]
    tempered = found._replace(logits=found.logits / calibration.temperatures[1])
    told = judged(calibration, 5, tempered, threshold=0.1)
    assert told["false_alarms"] == pytest.approx(0.1, abs=0.01)
    assert told["calibration_error"] <= told["uncalibrated_error"] + 0.01


def test_the_area_under_the_curve_and_the_rates_are_those_of_scikit_learn_and_numpy():
    found = random_answers(1)
    limit = float(np.quantile(found.known, 0.95))
    quantiles = tuple(np.quantile(found.known, np.arange(0.5, 200) / 200))
    told = judged(Calibration((1, 5), (1.0, 1.0), (quantiles, quantiles)), 1, found)
    is_unknown = np.repeat([0, 1], [len(found.known), len(found.unknown)])
    assert told["area_under_roc"] == pytest.approx(
        roc_auc_score(is_unknown, np.concatenate([found.known, found.unknown])), abs=1e-6
    )
    assert told["found"] == pytest.approx(np.mean(found.unknown > limit), abs=0.02)
    assert told["accuracy"] == pytest.approx(np.mean(found.logits.argmax(axis=1) == found.labels))


def test_probabilities_that_are_rates_have_no_calibration_error_and_others_have():
    """Of two classes with 0.8 and 0.2: right in 80 % of cases, or in all."""
    logits = np.log(np.tile([0.8, 0.2], (1000, 1)))
    for wrong, error in ((200, 0.0), (0, 0.2)):
        labels = np.repeat([1, 0], [wrong, 1000 - wrong])
        found = Answered(logits, labels, np.zeros(1000), np.ones(1000))
        told = judged(Calibration((1, 5), (1.0, 1.0), ((0.0,), (0.0,))), 1, found)
        assert told["calibration_error"] == pytest.approx(error, abs=1e-9)
