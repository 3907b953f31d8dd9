"""Few-shot classifiers: one file a method, one interface (`base.FewShotClassifier`)."""

from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.families.learned_optimizer import without_xla
from ml_lstm.methods.fine_tuning import FineTuning
from ml_lstm.methods.maml import MAML
from ml_lstm.methods.mann import MemoryAugmentedNetwork
from ml_lstm.methods.matching import MatchingNetworks
from ml_lstm.methods.meta_lstm import MetaLSTM
from ml_lstm.methods.meta_networks import MetaNetworks
from ml_lstm.methods.nearest_neighbour import NearestNeighbour
from ml_lstm.methods.pixel_nearest_neighbour import PixelNearestNeighbour
from ml_lstm.methods.prototypical import PrototypicalNetworks
from ml_lstm.methods.relation import RelationNetwork
from ml_lstm.methods.reptile import Reptile
from ml_lstm.methods.siamese import SiameseNetwork

METHODS = {
    "fine_tuning": FineTuning,
    "fomaml": MAML,
    "maml": MAML,
    "mann": MemoryAugmentedNetwork,
    "matching": MatchingNetworks,
    "matching_fce": MatchingNetworks,
    "meta_lstm": MetaLSTM,
    "meta_networks": MetaNetworks,
    "meta_networks_minus": MetaNetworks,
    "meta_networks_plus": MetaNetworks,
    "nearest_neighbour": NearestNeighbour,
    "pixel_nearest_neighbour": PixelNearestNeighbour,
    "prototypical": PrototypicalNetworks,
    "relation": RelationNetwork,
    "reptile": Reptile,
    "siamese": SiameseNetwork,
}

__all__ = [
    "MAML",
    "METHODS",
    "Adaptation",
    "FewShotClassifier",
    "FineTuning",
    "MatchingNetworks",
    "MemoryAugmentedNetwork",
    "MetaLSTM",
    "MetaNetworks",
    "NearestNeighbour",
    "PixelNearestNeighbour",
    "PrototypicalNetworks",
    "RelationNetwork",
    "Reptile",
    "SiameseNetwork",
    "without_xla",
]
