"""A baseline without any learning."""

from ml_lstm.data.load import FewShotData
from ml_lstm.evaluation.protocol import episode_accuracies
from ml_lstm.methods import PixelNearestNeighbour


def pixel_accuracy(data: FewShotData) -> float:
    """Accuracy of the nearest support image by pixels, in the episodes of meta-validation.

    Args:
        data: the data that a method is meta-trained on.
    """
    return float(episode_accuracies(PixelNearestNeighbour(data.problem), data.validation).mean())
