"""Additions to Keras for meta-training: exact resume, clean stops, and images of episodes."""

from ml_lstm.training.average_weights import AverageWeights
from ml_lstm.training.callbacks import (
    EpisodesPerSecond,
    Interrupted,
    SaveProgress,
    StopOnNonFiniteLoss,
    Tune,
    ValidateTrainClasses,
)
from ml_lstm.training.initial_weights import take_network
from ml_lstm.training.loop import meta_train, steps_of
from ml_lstm.training.meta_step import MetaLearner
from ml_lstm.training.outlook import Outlook
from ml_lstm.training.progress import Progress
from ml_lstm.training.tensorboard import EpisodeBoard, ScalarBoard

__all__ = [
    "AverageWeights",
    "EpisodeBoard",
    "EpisodesPerSecond",
    "Interrupted",
    "MetaLearner",
    "Outlook",
    "Progress",
    "SaveProgress",
    "ScalarBoard",
    "StopOnNonFiniteLoss",
    "Tune",
    "ValidateTrainClasses",
    "meta_train",
    "steps_of",
    "take_network",
]
