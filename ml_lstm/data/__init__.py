"""Image data sets and the episodes sampled from them."""

from ml_lstm.data.augmentation import AUGMENTATIONS
from ml_lstm.data.batches import BatchSampler
from ml_lstm.data.episodes import EpisodeSampler
from ml_lstm.data.errors import DataError
from ml_lstm.data.load import SPLITS, FewShotData, load
from ml_lstm.data.pools import ClassPool
from ml_lstm.data.sources import SOURCES

__all__ = [
    "AUGMENTATIONS",
    "SOURCES",
    "SPLITS",
    "BatchSampler",
    "ClassPool",
    "DataError",
    "EpisodeSampler",
    "FewShotData",
    "load",
]
