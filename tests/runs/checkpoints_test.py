"""Checkpoints hold every weight, or say which one they cannot."""

import keras
import pytest

from ml_lstm.errors import UserError
from ml_lstm.runs import CheckpointStore


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


def test_a_checkpoint_of_another_model_is_not_called_damaged(tmp_path):
    CheckpointStore(tmp_path, model=keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])).save(1)
    now = keras.Sequential([keras.Input((3,)), keras.layers.ReLU(), keras.layers.Dense(2)])
    store = CheckpointStore(tmp_path, model=now)
    for restore in (store.restore_newest, lambda: store.restore(1)):
        with pytest.raises(UserError, match=r"episode-1 is of another model .* version of ml_lstm"):
            restore()
    assert store.numbers() == [1]
