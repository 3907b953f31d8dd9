"""Learning curves of a run, as a study gets them."""

import json

import pytest

from ml_lstm.episode import Problem
from ml_lstm.runs import RunDirectory, settings
from ml_lstm.training import Progress
from tests import forks

VALIDATIONS, TRAIN_CLASSES = [(20, 0.25), (40, 0.75), (60, 0.5)], [(20, 0.375), (40, 0.875), (60, 1.0)]


def curves(*flags):
    return forks.run("studies.curves", *flags)


@pytest.fixture
def run(tmp_path):
    """A run whose best weights are older than its newest ones."""
    values = settings.complete({"method": "prototypical", "filters": 2, "image_size": 16})
    directory, problem, progress = RunDirectory(tmp_path / "run"), Problem((16, 16, 1), 5, 7, [0.5], [0.2]), Progress()
    directory.create(settings.bound(values), problem, "its classes")
    method = settings.build_method(values, problem)
    for count in (1, 2, 3):
        progress.validations, progress.train_classes = VALIDATIONS[:count], TRAIN_CLASSES[:count]
        if count < 3:
            directory.best(model=method, progress=progress).save(VALIDATIONS[count - 1][0])
        directory.backup(model=method, progress=progress).save(VALIDATIONS[count - 1][0])
    return directory.path


def test_the_curves_are_whole_and_say_of_which_run_they_are(run, tmp_path):
    # As the harness calls it.
    ended = curves("--data_dir=DATA", f"--run_dir={run}", f"--json={tmp_path / 'run.curves.json'}")
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "run.curves.json").read_text())
    assert [tuple(point) for point in found["validation"]] == VALIDATIONS
    assert [tuple(point) for point in found["train_classes"]] == TRAIN_CLASSES
    assert (found["flags"]["method"], found["flags"]["filters"]) == ("prototypical", 2)


def test_what_is_no_run_is_refused_in_a_line(tmp_path):
    ended = curves(f"--run_dir={tmp_path}", f"--json={tmp_path / 'curves.json'}")
    assert ended.returncode == 1
    assert "is not a run directory" in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "curves.json").exists()
