"""Runs side by side: the result of each, its training time, and the options in which they differ."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_lstm.errors import UserError
from ml_lstm.runs import evaluations
from ml_lstm.runs.directory import RunDirectory, trained_method
from ml_lstm.training import Progress


class Outcome(NamedTuple):
    """The result of a run.

    Attributes:
        name: of the run, as its user calls it.
        accuracy: as a fraction.
        interval: half width of its 95 % confidence interval; None if it was not measured.
        measured: what was measured, in words.
        episodes: of meta-training, until the weights that were measured.
        seconds: training time of those weights; None if it was not recorded.
        parameters: how many values training changes.
        options: the options that the run is bound to, by name.
        validations: `(episodes trained, accuracy)` of each meta-validation.
        train_classes: the same on meta-train classes, if it was measured.
    """

    name: str
    accuracy: float
    interval: float | None
    measured: str
    episodes: int
    seconds: float | None
    parameters: int
    options: Mapping[str, Any]
    validations: Sequence[tuple[int, float]]
    train_classes: Sequence[tuple[int, float]]


def outcome(path: str) -> Outcome:
    """The result of a run: its newest evaluation or, without one, its best meta-validation.

    Args:
        path: of the run.

    Raises:
        UserError: if it is not a run, has neither, or is damaged.
    """
    run = RunDirectory(path)
    method, episodes, at_best = trained_method(run)
    newest = _newest_progress(run, method) or at_best
    found = {
        "name": path,
        "parameters": sum(math.prod(weight.shape) for weight in method.trainable_weights),
        "options": run.bound(),
        "validations": newest.validations,
        "train_classes": newest.train_classes,
    }
    result = evaluations.newest(run.path)
    if result:
        return Outcome(
            accuracy=result["accuracy"],
            interval=result["confidence_interval_95"],
            measured=_in_words(result),
            episodes=episodes if result["train_episodes"] is None else result["train_episodes"],
            seconds=result["train_seconds"],
            **found,
        )
    if not at_best.validations:
        raise UserError(f"{path} has no evaluation and no validation yet: train it to its first validation.")
    return Outcome(
        accuracy=at_best.best_accuracy,
        interval=None,
        measured="best meta-validation",
        episodes=episodes,
        seconds=at_best.seconds,
        **found,
    )


def _newest_progress(run, method):
    progress = Progress()
    newest = run.backup(model=method, progress=progress).restore_newest()
    return None if newest is None else progress


def _in_words(result):
    within = " within alphabets" if result["within_alphabets"] else ""
    transductive = ", transductive" if result["transductive_batch_norm"] else ""
    steps = f"{result['inner_steps']} inner step(s), " if result["inner_steps"] else ""
    return (
        f"{result['dataset']} {result['split']}, {result['n_way']}-way {result['k_shot']}-shot, {steps}"
        f"{result['episodes']} episodes{within}{transductive}"
    )


def differing(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    """The options in which runs differ, by name: the value of each run, None for a run without the option."""
    names = {name: None for outcome in outcomes for name in outcome.options}
    found = {name: [outcome.options.get(name) for outcome in outcomes] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}
