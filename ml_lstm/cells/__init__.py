"""Update rules: what turns a gradient into the next parameters, one coordinate at a time."""

from ml_lstm.cells.base import UpdateInputs, UpdateRule
from ml_lstm.cells.meta_lstm import MetaLSTMCell, MetaLSTMState
from ml_lstm.cells.preprocessing import preprocess, update_features

__all__ = [
    "MetaLSTMCell",
    "MetaLSTMState",
    "UpdateInputs",
    "UpdateRule",
    "preprocess",
    "update_features",
]
