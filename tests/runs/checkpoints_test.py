"""Checkpoints hold every weight, or say which one they cannot."""

import keras
import numpy as np
import pytest

from ml_lstm.errors import UserError
from ml_lstm.runs import CheckpointStore
from ml_lstm.training import Progress


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


def _dense(units):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])


def test_a_checkpoint_of_other_shapes_is_not_called_damaged(tmp_path):
    CheckpointStore(tmp_path, model=_dense(2)).save(1)
    with pytest.raises(UserError, match="episode-1 is of another model"):
        CheckpointStore(tmp_path, model=_dense(4)).restore_newest()


@pytest.mark.parametrize("seed", range(3))
def test_a_checkpoint_damaged_anywhere_is_found_and_the_one_before_is_read(seed, tmp_path):
    model, random = _dense(2), np.random.default_rng(seed)
    store = CheckpointStore(tmp_path, model=model, progress=Progress())
    store.save(1)
    expected = [weight.numpy() for weight in model.weights]
    store.save(2)
    paths = sorted(tmp_path.glob("episode-2.*"))
    whole = {path: path.read_bytes() for path in paths}
    for _ in range(20):
        path = paths[random.integers(len(paths))]
        cut = int(random.integers(len(whole[path])))
        noise = random.bytes(8)
        path.write_bytes(whole[path][:cut] + (b"" if random.integers(2) else noise + whole[path][cut + 8 :]))
        model.set_weights([np.zeros_like(value) for value in expected])
        assert store.restore_newest() in (1, 2)  # of the index not every byte counts
        for weight, value in zip(model.weights, expected, strict=True):
            np.testing.assert_array_equal(weight.numpy(), value)
        path.write_bytes(whole[path])


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"seconds": "x", "validations": []}', '{"seconds": 1}'])
def test_progress_of_another_version_is_a_value_error(state):
    with pytest.raises(ValueError, match=r"."):
        Progress().deserialize(state)
