"""The client is self-contained: it has copies of the files in which it must agree with `ml_lstm`."""

from pathlib import Path

import pytest

import ml_lstm
import ml_lstm_client
from ml_lstm.data import pictures
from ml_lstm_client import picture_files


@pytest.mark.parametrize("file", ["folders.py", "photographs.py", "whole_files.py"])
def test_a_copy_says_what_the_original_says(file):
    copy, original = (Path(package.__file__).with_name(file).read_text() for package in (ml_lstm_client, ml_lstm))
    assert copy == original
    assert "The client is self-contained and has a copy of this file" in original


def test_every_file_of_both_names_is_a_copy():
    names = [
        {path.name for path in Path(package.__file__).parent.glob("*.py")} for package in (ml_lstm_client, ml_lstm)
    ]
    own = {"__init__.py", "__main__.py"}  # every package has these
    assert set.intersection(*names) - own == {"folders.py", "photographs.py", "whole_files.py"}


def test_the_client_sends_the_kinds_of_files_that_a_model_reads():
    assert picture_files.BEGINNINGS == pictures.BEGINNINGS
