"""Evaluation of a trained method: episodes, accuracy, confidence interval."""

from ml_lstm.evaluation.familiar import answered, calibration_by, judged
from ml_lstm.evaluation.gates import GateValues, gate_values
from ml_lstm.evaluation.instances import instance_accuracies
from ml_lstm.evaluation.pixels import pixel_accuracy
from ml_lstm.evaluation.protocol import EPISODES_AT_A_TIME, Accuracy, episode_accuracies

__all__ = [
    "EPISODES_AT_A_TIME",
    "Accuracy",
    "GateValues",
    "answered",
    "calibration_by",
    "episode_accuracies",
    "gate_values",
    "instance_accuracies",
    "judged",
    "pixel_accuracy",
]
