"""Checkpoints hold every weight, or say which one they cannot."""

import os
import shutil

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
        with pytest.raises(UserError, match=r"episode-1 belongs to another model .* version of ml_lstm"):
            restore()
    assert store.numbers() == [1]


def _dense(units):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])


def test_a_checkpoint_of_other_shapes_is_not_called_damaged(tmp_path):
    CheckpointStore(tmp_path, model=_dense(2)).save(1)
    with pytest.raises(UserError, match="episode-1 belongs to another model"):
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


def test_whatever_moment_a_kill_finds_all_checkpoints_that_are_there_are_whole(tmp_path, monkeypatch):
    progress, left = Progress(), []
    place = tmp_path / "run"
    store = CheckpointStore(place, model=_dense(2), progress=progress)

    def as_left_before(operation):
        def changed(*arguments, **names):
            left.append(shutil.copytree(place, tmp_path / f"left-{len(left)}"))
            return operation(*arguments, **names)

        return changed

    store.save(1)
    for name in ("replace", "rename", "unlink", "remove"):
        monkeypatch.setattr(os, name, as_left_before(getattr(os, name)))
    for number in (2, 3, 3, 4):  # the same one again: the kill came before all of it was saved
        progress.seconds += 1234.5
        store.save(number)
    monkeypatch.undo()
    assert len(left) >= 12
    for directory in left:
        found = CheckpointStore(directory, model=_dense(2), progress=Progress())
        assert found.numbers(), sorted(path.name for path in directory.iterdir())
        for number in found.numbers():
            found.restore(number)
        found.save(9)
        assert found.numbers()[-1] == 9
        assert len(list(directory.iterdir())) == 2 * len(found.numbers())


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"seconds": "x", "validations": []}', '{"seconds": 1}'])
def test_progress_of_another_version_is_a_value_error(state):
    with pytest.raises(ValueError, match=r"."):
        Progress().deserialize(state)
