"""How well a trained method does: episodes, accuracy, confidence interval."""

from ml_lstm.evaluation.instances import instance_accuracies
from ml_lstm.evaluation.protocol import Accuracy, episode_accuracies

__all__ = ["Accuracy", "episode_accuracies", "instance_accuracies"]
