"""The state of training besides weights."""

import json

import tensorflow as tf


class Progress(tf.train.experimental.PythonState):
    """The state of a run besides weights; saved with them.

    Attributes:
        seconds: of meta-training so far, including validation.
        validations: `(episodes trained, accuracy)` of each meta-validation so far.
        train_classes: the same on meta-train classes, for the meta-validations that measured it.
    """

    def __init__(self):
        self.seconds = 0.0
        self.validations: list[tuple[int, float]] = []
        self.train_classes: list[tuple[int, float]] = []

    @property
    def best_accuracy(self) -> float:
        """The best accuracy of all meta-validations so far; below 0 before the first."""
        return max((accuracy for _, accuracy in self.validations), default=-1.0)

    @property
    def validations_since_best(self) -> int:
        """How many meta-validations came after the best one."""
        accuracies = [accuracy for _, accuracy in self.validations]
        return len(accuracies) - 1 - accuracies.index(max(accuracies)) if accuracies else 0

    def serialize(self) -> str:
        return json.dumps(
            {"seconds": self.seconds, "validations": self.validations, "train_classes": self.train_classes}
        )

    def deserialize(self, string_value: str) -> None:
        try:
            state = json.loads(string_value)
            self.seconds = float(state["seconds"])
            self.validations = _curve(state["validations"])
            self.train_classes = _curve(state.get("train_classes", ()))  # older runs have none
        except (LookupError, TypeError, OverflowError) as error:
            raise ValueError(f"not the progress of a run: {string_value[:100]!r}") from error


def _curve(points):
    return [(int(episodes), float(accuracy)) for episodes, accuracy in points]
