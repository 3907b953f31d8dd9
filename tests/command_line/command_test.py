"""Output never ends a command: neither for want of an encoding, nor because nobody reads it any more."""

import errno
import io
import os
import pty
import sys

import pytest

from ml_lstm.command_line import command

TEXT = "97.5 % ± 0.3, ‘ü’, 字, \udcff"


def _stream(file, encoding, errors="strict"):
    return io.TextIOWrapper(io.FileIO(file, "w", closefd=False), encoding=encoding, errors=errors)


@pytest.fixture
def written(monkeypatch):
    """`written(encoding, errors)`: what arrives of TEXT where the stream has such an encoding."""

    def written(encoding, errors):
        reading, writing = os.pipe()
        monkeypatch.setattr(sys, "stdout", _stream(writing, encoding, errors))
        command.make_output_last()
        print(TEXT)
        sys.stdout.flush()
        os.close(writing)
        with open(reading, "rb") as file:
            return file.read()

    return written


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "shift_jis"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_what_an_encoding_lacks_is_written_as_its_number(encoding, errors, written):
    assert written(encoding, errors) == (TEXT + os.linesep).encode(encoding, errors="backslashreplace")


def test_what_the_user_chose_for_missing_characters_stays(written):
    assert written("ascii", "replace") == (TEXT + os.linesep).encode("ascii", errors="replace")


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_reader_that_is_gone_does_not_matter(kind, name, monkeypatch):
    reading, writing = os.pipe() if kind == "pipe" else pty.openpty()
    monkeypatch.setattr(sys, name, _stream(writing, "utf-8"))
    command.make_output_last()
    os.close(reading)
    for _ in range(3):
        print(TEXT, file=getattr(sys, name), flush=True)
    with pytest.raises(OSError, match=r"."):
        os.write(writing, b"x")
    os.close(writing)


def test_a_full_disk_below_the_output_is_still_told(monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(sys, "stdout", _stream(full, "utf-8"))
    command.make_output_last()
    with pytest.raises(OSError, match="space") as found:
        print(TEXT, flush=True)
    assert found.value.errno == errno.ENOSPC
    monkeypatch.undo()
    os.close(full)


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES])
def test_only_a_command_that_goes_on_says_so(goes_on, number):
    said = command._with_remedy(os.strerror(number), goes_on)
    assert ("goes on from what was saved" in said) == (goes_on and number != errno.EACCES)
