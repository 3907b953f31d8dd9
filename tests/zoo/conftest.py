"""A tiny model of the zoo, made of a tiny run."""

import shutil

import keras
import pytest

from ml_lstm.zoo.entries import Entry, write_entry
from tests.zoo.tiny import BY_METHOD, WORDS, trained


@pytest.fixture(scope="session", params=sorted(BY_METHOD))
def run_and_model(request, tmp_path_factory):
    """A run and the method as it was trained there."""
    keras.utils.set_random_seed(0)
    return trained(tmp_path_factory.mktemp("runs") / request.param, request.param)


@pytest.fixture(scope="session")
def entry(run_and_model, tmp_path_factory):
    """What the zoo made of the run."""
    return write_entry(run_and_model[0], WORDS, tmp_path_factory.mktemp("zoo") / "tiny")


@pytest.fixture(scope="session")
def calibrated(entry, tmp_path_factory):
    """The same with a calibration that was not found, but made up."""
    path = shutil.copytree(entry.path, tmp_path_factory.mktemp("zoo") / "calibrated")
    copy = Entry(path)
    strange = [-2.0, -1.5, -1.0, -0.5, 0.0]
    made_up = {"shots": [1, 5], "temperatures": [0.5, 0.25], "unfamiliarities": [strange, strange]}
    copy.write_card(copy.card | {"calibration": made_up})
    copy.tell_limits(copy.method())
    return copy
