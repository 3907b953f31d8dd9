"""Checkpoints hold every weight, or say which one they cannot."""

import keras
import pytest

from ml_lstm.errors import UserError
from ml_lstm.training import CheckpointStore


class Listed(keras.Model):
    """Keeps its layer where TensorFlow does not look."""

    def __init__(self):
        super().__init__()
        self.parts = [keras.layers.Dense(2)]
        self.parts[0].build((None, 3))
        self.built = True


def test_a_weight_that_would_be_lost_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"dense.*/kernel would not be saved.*make its layer an attribute"):
        CheckpointStore(tmp_path / "run", model=Listed()).save(1)
    assert not (tmp_path / "run").exists()
