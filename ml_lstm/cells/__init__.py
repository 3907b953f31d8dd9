"""Update rules, which compute the next parameters from a gradient, one coordinate at a time."""

from ml_lstm.cells.base import UpdateInputs, UpdateRule
from ml_lstm.cells.complete_lstm import CompleteLSTMCell, CompleteLSTMState
from ml_lstm.cells.coordinate_lstm import CoordinateLSTM
from ml_lstm.cells.gru import GRUCell, GRUState
from ml_lstm.cells.meta_lstm import MetaLSTMCell, MetaLSTMState
from ml_lstm.cells.preprocessing import preprocess, update_features
from ml_lstm.cells.sgd import MetaSGDCell, MetaSGDState, SGDCell, SGDState
from ml_lstm.cells.turtle import TurtleCell, TurtleState

CELLS = {
    "meta_lstm": MetaLSTMCell,
    "complete_lstm": CompleteLSTMCell,
    "gru": GRUCell,
    "sgd": SGDCell,
    "meta_sgd": MetaSGDCell,
    "turtle": TurtleCell,
}
"""What `--cell` names."""

__all__ = [
    "CELLS",
    "CompleteLSTMCell",
    "CompleteLSTMState",
    "CoordinateLSTM",
    "GRUCell",
    "GRUState",
    "MetaLSTMCell",
    "MetaLSTMState",
    "MetaSGDCell",
    "MetaSGDState",
    "SGDCell",
    "SGDState",
    "TurtleCell",
    "TurtleState",
    "UpdateInputs",
    "UpdateRule",
    "preprocess",
    "update_features",
]
