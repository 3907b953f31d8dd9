"""Calibration of a model's probabilities: fitted on meta-validation classes, and judged on meta-test classes."""

from typing import Any

from ml_lstm.data import EpisodeSampler, FewShotData
from ml_lstm.evaluation import answered, calibration_by, judged
from ml_lstm.methods import Calibrated, FewShotClassifier
from ml_lstm.zoo.entries import Entry

_SHOTS = (1, 5)
_QUERIES = 5  # of each class


def calibrate(entry: Entry, data: FewShotData, episodes: int) -> dict[str, Any]:
    """Calibrates a model on problems with one and with five images in a class, and writes the result into its card.

    Args:
        entry: the model.
        data: the data that it was trained on.
        episodes: number of meta-validation episodes for each kind of problem, and of meta-test episodes to judge by.

    Returns:
        How well calibrated it is, by `judged`, for each kind of problem; and the settings of these problems.

    Raises:
        DataError: if the splits are too small for such problems.
    """
    method = entry.uncalibrated_method()
    n_way = min(data.setting("test")[0], *(data.pools[split].num_classes // 2 for split in ("val", "test")))
    found = {k_shot: _answered(method, data, "val", n_way, k_shot, episodes) for k_shot in _SHOTS}
    calibrated = Calibrated(method, calibration_by(found))
    tests = []
    for k_shot in _SHOTS:
        answers = _answered(calibrated, data, "test", n_way, k_shot, episodes)
        tests.append({"k_shot": k_shot} | judged(calibrated.calibration, k_shot, answers))
    told = {"n_way": n_way, "unknown_classes": n_way, "n_query": _QUERIES, "episodes": episodes, "tests": tests}
    entry.write_card(entry.card | {"calibration": calibrated.calibration._asdict() | told})
    entry.tell_limits(calibrated)
    return told | {"temperatures": calibrated.calibration.temperatures}


def _answered(method: FewShotClassifier, data, split, n_way, k_shot, episodes):
    pool = data.pools[split]
    # Equally many classes are added that the support set does not have.
    sampler = EpisodeSampler(pool, 2 * n_way, k_shot, _QUERIES, name=f"The {split} split")
    return answered(method, sampler.dataset(count=episodes), n_way)
