"""A run directory: the options it is bound to, its method, and its checkpoints."""

from ml_lstm.runs.checkpoints import CheckpointStore
from ml_lstm.runs.directory import RunDirectory, trained_method
from ml_lstm.runs.initial_weights import take_initial_weights

__all__ = ["CheckpointStore", "RunDirectory", "take_initial_weights", "trained_method"]
