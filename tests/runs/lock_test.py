"""One process trains in a run directory at a time, whatever became of the one before."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from ml_lstm.errors import UserError
from ml_lstm.runs.lock import TrainingLock

_HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(3000)
"""


def test_a_second_trainer_is_refused_until_the_first_is_killed(tmp_path):
    path = tmp_path / "run" / "train.lock"
    TrainingLock(path).release()
    with subprocess.Popen([sys.executable, "-c", _HOLDER, path], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(UserError, match=r"run is being trained by another process: wait for it, .*--run_dir"):
                TrainingLock(path)
        finally:
            holder.kill()
    TrainingLock(path).release()
    assert path.exists()


def test_of_two_at_the_same_time_one_is_refused(tmp_path):
    first = TrainingLock(tmp_path / "lock")
    with pytest.raises(UserError, match="being trained"):
        TrainingLock(tmp_path / "lock")
    first.release()
    TrainingLock(tmp_path / "lock").release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_storage_without_locks_is_said_in_a_line(number, tmp_path, monkeypatch, capsys):
    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    TrainingLock(tmp_path / "lock").release()
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"{tmp_path} is on storage without locks: make sure that no other process trains there."


def test_a_pipe_of_that_name_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "lock")
    TrainingLock(tmp_path / "lock").release()


def test_a_directory_of_that_name_is_named(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(OSError, match="lock") as found:
        TrainingLock(tmp_path / "lock")
    assert str(found.value.filename) == str(tmp_path / "lock")
