"""A run: its directory, what is built from it, and its checkpoints."""

from ml_lstm.runs.building import DATA_FLAGS, build_method, load_data, trained_method
from ml_lstm.runs.checkpoints import CheckpointStore
from ml_lstm.runs.directory import RunDirectory
from ml_lstm.training.progress import Progress

__all__ = [
    "DATA_FLAGS",
    "CheckpointStore",
    "Progress",
    "RunDirectory",
    "build_method",
    "load_data",
    "trained_method",
]
