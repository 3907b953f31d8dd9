"""Few-shot classifiers: one file a method, one interface (`base.FewShotClassifier`)."""

from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.fine_tuning import FineTuning
from ml_lstm.methods.maml import MAML
from ml_lstm.methods.meta_lstm import MetaLSTM
from ml_lstm.methods.nearest_neighbour import NearestNeighbour
from ml_lstm.methods.pixel_nearest_neighbour import PixelNearestNeighbour
from ml_lstm.methods.reptile import Reptile

METHODS = {
    "fine_tuning": FineTuning,
    "fomaml": MAML,
    "maml": MAML,
    "meta_lstm": MetaLSTM,
    "nearest_neighbour": NearestNeighbour,
    "pixel_nearest_neighbour": PixelNearestNeighbour,
    "reptile": Reptile,
}

__all__ = [
    "MAML",
    "METHODS",
    "Adaptation",
    "FewShotClassifier",
    "FineTuning",
    "MetaLSTM",
    "NearestNeighbour",
    "PixelNearestNeighbour",
    "Reptile",
]
