"""The number of the next version, beside whatever else is in the directory of a model."""

import os
import socket

import pytest

from ml_lstm.errors import UserError
from ml_lstm.serving import export


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], 1),
        (["1", "2"], 3),
        (["9", "10"], 11),
        (["007"], 8),
        (["²", "٣", "-1", "+2", "1.5", "1e3", "v4", " 5", "0x6", "7 "], 1),
        (["3", "9" * 20, "9" * 255], 4),
        (["0"], 1),
        ([".writing-elsewhere-1", "lost+found", "\udcff"], 1),
    ],
)
@pytest.mark.parametrize("kind", ["directory", "file", "dangling link", "link loop"])
def test_only_what_a_server_takes_for_a_version_counts(names, expected, kind, tmp_path):
    for name in names:
        path = tmp_path / name
        if kind == "directory":
            path.mkdir()
        elif kind == "file":
            path.write_text("")
        else:
            path.symlink_to("nowhere" if kind == "dangling link" else name)
    assert export._next_version(tmp_path) == expected


def test_after_the_largest_version_there_is_none(tmp_path):
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(UserError, match=r"9223372036854775807 is the largest possible version: choose another"):
        export._next_version(tmp_path)


def test_only_what_killed_exports_left_is_removed(tmp_path):
    prefix = f".writing-{socket.gethostname()}-"
    gone, kept = tmp_path / f"{prefix}{2**22 + 1}", []  # beyond the largest number that Linux gives a process
    gone.mkdir()
    (gone / "part").write_text("")
    for name in ("", "²", "x", "0", "-1", "9" * 30):
        kept.append(tmp_path / f"{prefix}{name}")
        kept[-1].mkdir()
    kept.append(tmp_path / f"{prefix}{2**22 + 2}")
    kept[-1].write_text("a file")
    kept.append(tmp_path / f"{prefix}{2**22 + 3}")
    kept[-1].symlink_to(tmp_path)
    export._remove_unfinished(tmp_path)
    assert not gone.exists()
    assert all(os.path.lexists(path) for path in kept)
