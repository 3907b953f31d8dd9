"""Output never ends a command: neither for want of an encoding, nor because nobody reads it any more."""

import errno
import io
import os
import pty
import subprocess
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


_SPEAKING = """
import sys

from absl import flags
from ml_lstm.command_line import command

flags.DEFINE_integer("size", 1, "")
flags.DEFINE_boolean("exits", False, "")

def main():
    print("x" * flags.FLAGS.size)
    print("a note", file=sys.stderr)
    if flags.FLAGS.exits:
        sys.exit(0)

command.run(main)
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
@pytest.mark.parametrize("flag", ["--size=1", "--exits", "--size=100000"])
def test_words_that_a_full_disk_does_not_take_are_said_to_be_lost_in_one_line(flag):
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-c", _SPEAKING, flag], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr and "ignored" not in result.stderr
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("-c: "))
    assert line.startswith("-c: standard output: No space left on device. Free some space")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
def test_a_log_on_a_full_disk_ends_no_command():
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-c", _SPEAKING], stdout=subprocess.PIPE, stderr=full, text=True)
    assert result.returncode == 0
    assert result.stdout == "x\n"


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
    assert ("it resumes from what was saved" in said) == (goes_on and number != errno.EACCES)
