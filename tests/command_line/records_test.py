"""What is written down is whole, or what was there before."""

import errno
import os
import subprocess
import threading

import pytest

from ml_lstm.command_line import records
from ml_lstm.whole_files import whole


def test_what_fails_amid_writing_leaves_the_file_of_before_and_nothing_beside_it(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), whole(path) as place:
        place.write_text("half")
        raise ZeroDivisionError
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "before"


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_what_the_disk_does_not_take_is_told_by_the_name_that_the_user_gave(operation, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "result.json"
    records.write_json(path, {"a": 1})
    monkeypatch.setattr(os, operation, full)
    with pytest.raises(OSError, match="No space left") as found:
        records.write_json(path, {"a": 2})
    assert found.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    assert path.read_text() == '{\n  "a": 1\n}\n'


def test_a_link_goes_on_leading_to_its_file(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "result.json")
    for number in (1, 2):  # a dangling one, too
        records.write_json(link, {"a": number})
        assert link.is_symlink()
        assert (tmp_path / "there" / "result.json").read_text() == f'{{\n  "a": {number}\n}}\n'
    assert len(list((tmp_path / "there").iterdir())) == 1


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    records.write_json(pipe, {})
    reader.join(60)
    assert read == ["{}\n"]
    assert pipe.is_fifo()


def test_the_commit_is_that_of_this_code_and_not_of_a_repository_that_it_is_installed_in(tmp_path, monkeypatch):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True)

    package = tmp_path / "environment" / "records.py"
    package.parent.mkdir()
    package.write_text("")
    monkeypatch.setattr(records, "__file__", str(package))
    assert records.commit() is None
    git("init")
    git("commit", "--allow-empty", "--message=somebody's")
    assert records.commit() is None
    git("add", ".")
    git("commit", "--message=ours")
    head = git("rev-parse", "HEAD").stdout.strip()
    assert records.commit() == head
    package.write_text("changed")
    assert records.commit() == f"{head}+"
