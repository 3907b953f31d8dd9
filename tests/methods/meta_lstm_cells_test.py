"""The LSTM meta-learner with each of its update rules."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells import CELLS
from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM
from ml_lstm.methods.families import learned_optimizer

WAY, SHAPE = 3, (16, 16, 1)
LABELS, QUERY_LABELS = tf.range(WAY), tf.constant([0, 1, 2, 0, 1, 2])


def pictures(count, seed):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype("uint8"))


SUPPORT, QUERIES = pictures(WAY, 0), pictures(6, 1)


def new_method(cell, **arguments):
    keras.utils.set_random_seed(3)
    return MetaLSTM(conv4(SHAPE, WAY, filters=4), Problem(SHAPE, WAY), CELLS[cell](), inner_steps=2, **arguments)


def logits(method):
    return method.classify(method.adapt(SUPPORT, LABELS), QUERIES).numpy()


@pytest.mark.slow_unless(cell=["meta_lstm", "gru"], second_order=[True])
@pytest.mark.parametrize("second_order", [False, True], ids=["first_order", "second_order"])
@pytest.mark.parametrize("cell", CELLS)
def test_one_meta_step_changes_every_weight_of_the_cell(cell, second_order):
    method = new_method(cell, second_order=second_order)
    method.compile(optimizer=keras.optimizers.Adam(1e-3))
    before = method.cell.get_weights()
    assert before
    results = method.train_step(Episode(SUPPORT, LABELS, QUERIES, QUERY_LABELS))
    assert np.isfinite(results["loss"]) and int(method.first_non_finite_episode.result()) == -1
    for variable, value in zip(method.cell.weights, before, strict=True):
        assert not np.array_equal(variable.numpy(), value), variable.path


@pytest.mark.parametrize("cell", CELLS)
def test_saved_and_loaded_gives_the_same_answers(cell, tmp_path):
    method = new_method(cell)
    random = np.random.default_rng(2)
    for variable in method.cell.weights:  # so that a loaded cell that starts afresh would show
        variable.assign_add(random.uniform(0.1, 0.5, variable.shape))
    method.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits(again), logits(method))


@pytest.mark.parametrize("cell", CELLS)
def test_diagnostics_are_the_inner_losses_and_what_the_cell_shows(cell):
    method = new_method(cell)
    shown = method.diagnostics(SUPPORT, LABELS)
    assert shown.pop("inner_loss").shape == (2,)
    coordinates = sum(variable.numpy().size for variable in method.learner.trainable_variables)
    assert {values.shape for values in shown.values()} <= {(2, coordinates)}
    assert bool(shown) == (cell != "turtle")


@pytest.mark.parametrize(("cell", "units"), [("meta_lstm", 20), ("complete_lstm", 20), ("gru", 20), ("sgd", 0)])
def test_an_lstm_stands_in_front_of_the_gates_only(cell, units):
    method = new_method(cell)
    assert method.cell.hidden_units == units
    assert bool(method.coordinate_lstm) == (units > 0)


@pytest.mark.parametrize("cell", ["sgd", "meta_sgd"])
def test_features_that_nobody_reads_are_not_computed(cell, monkeypatch):
    method = new_method(cell)
    monkeypatch.setattr(learned_optimizer, "update_features", lambda *_: pytest.fail("features were computed"))
    assert np.isfinite(logits(method)).all()
