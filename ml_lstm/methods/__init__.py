"""Few-shot classifiers: one file for each method, one interface (`base.FewShotClassifier`)."""

import functools

from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.calibrated import Calibrated, Calibration
from ml_lstm.methods.families.learned_optimizer import without_xla
from ml_lstm.methods.fine_tuning import FineTuning
from ml_lstm.methods.maml import MAML
from ml_lstm.methods.mann import MemoryAugmentedNetwork
from ml_lstm.methods.matching import MatchingNetworks
from ml_lstm.methods.meta_baseline import MetaBaseline
from ml_lstm.methods.meta_lstm import MetaLSTM
from ml_lstm.methods.meta_networks import MetaNetworks
from ml_lstm.methods.nearest_neighbour import NearestNeighbour
from ml_lstm.methods.pixel_nearest_neighbour import PixelNearestNeighbour
from ml_lstm.methods.prototypical import PrototypicalNetworks
from ml_lstm.methods.relation import RelationNetwork
from ml_lstm.methods.reptile import Reptile
from ml_lstm.methods.ridge_regression import RidgeRegression
from ml_lstm.methods.siamese import SiameseNetwork
from ml_lstm.methods.simple_shot import SimpleShot

METHODS = {
    "fine_tuning": FineTuning,
    "fomaml": functools.partial(MAML, second_order=False),
    "maml": functools.partial(MAML, second_order=True),
    "mann": MemoryAugmentedNetwork,
    "matching": functools.partial(MatchingNetworks, full_context=False, read_steps=5),
    "matching_fce": functools.partial(MatchingNetworks, full_context=True),
    "meta_baseline": MetaBaseline,
    "meta_lstm": MetaLSTM,
    "meta_networks": functools.partial(MetaNetworks, task_level_embedding=True, task_level_base=False),
    "meta_networks_minus": functools.partial(
        MetaNetworks, task_level_embedding=False, task_level_base=False, task_examples=5, margin=1.0
    ),
    "meta_networks_plus": functools.partial(MetaNetworks, task_level_embedding=True, task_level_base=True),
    "nearest_neighbour": NearestNeighbour,
    "pixel_nearest_neighbour": PixelNearestNeighbour,
    "prototypical": PrototypicalNetworks,
    "relation": RelationNetwork,
    "reptile": Reptile,
    "ridge_regression": RidgeRegression,
    "siamese": SiameseNetwork,
    "simple_shot": SimpleShot,
}
"""What `--method` names: a class, or a partial that fixes the options its name implies and those it cannot use."""

__all__ = [
    "MAML",
    "METHODS",
    "Adaptation",
    "Calibrated",
    "Calibration",
    "FewShotClassifier",
    "FineTuning",
    "MatchingNetworks",
    "MemoryAugmentedNetwork",
    "MetaBaseline",
    "MetaLSTM",
    "MetaNetworks",
    "NearestNeighbour",
    "PixelNearestNeighbour",
    "PrototypicalNetworks",
    "RelationNetwork",
    "Reptile",
    "RidgeRegression",
    "SiameseNetwork",
    "SimpleShot",
    "without_xla",
]
