"""Few-shot classifiers: one file a method, one interface (`base.FewShotClassifier`)."""

from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.meta_lstm import MetaLSTM
from ml_lstm.methods.nearest_neighbour import NearestNeighbour
from ml_lstm.methods.pixel_nearest_neighbour import PixelNearestNeighbour

METHODS = {
    "meta_lstm": MetaLSTM,
    "nearest_neighbour": NearestNeighbour,
    "pixel_nearest_neighbour": PixelNearestNeighbour,
}

__all__ = [
    "METHODS",
    "Adaptation",
    "FewShotClassifier",
    "MetaLSTM",
    "NearestNeighbour",
    "PixelNearestNeighbour",
]
