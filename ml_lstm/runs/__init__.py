"""A run directory: what it is bound to, building from it, checkpoints."""

from ml_lstm.runs.checkpoints import CheckpointStore
from ml_lstm.runs.directory import RunDirectory, trained_method

__all__ = ["CheckpointStore", "RunDirectory", "trained_method"]
