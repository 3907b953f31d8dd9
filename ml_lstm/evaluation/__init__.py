"""How well a trained method does: episodes, accuracy, confidence interval."""

from ml_lstm.evaluation.familiar import answered, calibration_by, judged
from ml_lstm.evaluation.instances import instance_accuracies
from ml_lstm.evaluation.pixels import pixel_accuracy
from ml_lstm.evaluation.protocol import EPISODES_AT_A_TIME, Accuracy, episode_accuracies

__all__ = [
    "EPISODES_AT_A_TIME",
    "Accuracy",
    "answered",
    "calibration_by",
    "episode_accuracies",
    "instance_accuracies",
    "judged",
    "pixel_accuracy",
]
