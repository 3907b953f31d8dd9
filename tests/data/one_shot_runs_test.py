"""Twenty runs of one-shot classification: the published file in its layouts, what is no such file, and drawn ones."""

import collections
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from ml_lstm.data import DataError, one_shot_runs
from ml_lstm.data.sources import omniglot

RUNS = [f"run{number:02d}" for number in range(1, 21)]


def png(number, side=105, ground=255):
    """A picture of its own for each number, in ink on white, as the archive's in one bit a pixel."""
    pixels = np.full((side, side), ground, np.uint8)
    pixels[10 : 20 + number // 100, 10 : 12 + number % 100] = 255 - ground
    file = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(file, "PNG")
    return file.getvalue()


def answers(run):
    return np.random.default_rng(RUNS.index(run)).permutation(20).tolist()


def entries(top="all_runs/", listed="all_runs/"):
    """Files of an archive, by name: training image c of a run has number c, test image i the answer's plus 100."""
    files = {}
    for run in RUNS:
        pairs = []
        for item, answer in enumerate(answers(run)):
            test, training = f"{run}/test/item{item + 1:02d}.png", f"{run}/training/class{item + 1:02d}.png"
            files[top + test], files[top + training] = png(100 + answer), png(item)
            pairs.append(f"{listed}{test} {listed}{run}/training/class{answer + 1:02d}.png\n")
        files[f"{top}{run}/class_labels.txt"] = "".join(pairs).encode()
    return files


def written(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return str(path)


@pytest.fixture(scope="module")
def whole():
    return entries()


@pytest.mark.parametrize(("top", "listed"), [("all_runs/", "all_runs/"), ("all_runs/", ""), ("", "")])
def test_published_runs_are_read_in_each_layout_that_there_was(tmp_path, top, listed):
    files = {"__MACOSX/all_runs/run01/class_labels.txt": b"\x00", **entries(top, listed)}
    runs = one_shot_runs.published(written(tmp_path / "all_runs.zip", files))
    assert [run.name for run in runs] == RUNS
    for run in runs:
        assert run.training == tuple(map(png, range(20)))
        assert run.answers == tuple(answers(run.name))
        assert run.test == tuple(png(100 + answer) for answer in run.answers)


def changed(files, name, contents):
    return files | {f"all_runs/{name}": contents}


BROKEN = {
    "it contains no run07/class_labels.txt": lambda files: {
        name: contents for name, contents in files.items() if "run07/class" not in name
    },
    "it contains run02 twice": lambda files: files | {"other/run02/class_labels.txt": b""},
    "has a line that is not a pair of paths": lambda files: changed(files, "run03/class_labels.txt", b"one\n"),
    "does not pair 20 test images with 20": lambda files: changed(
        files, "run03/class_labels.txt", files["all_runs/run03/class_labels.txt"].replace(b"class05", b"class06")
    ),
    "it contains no all_runs/run04/etc/passwd": lambda files: changed(
        files,
        "run04/class_labels.txt",
        files["all_runs/run04/class_labels.txt"].replace(b"run04/test/item01.png", b"../../../etc/passwd"),
    ),
    "can't decode": lambda files: changed(files, "run05/class_labels.txt", b"\xff\xfe"),
    "has 64 x 64 pixels, not 105 x 105": lambda files: changed(files, "run06/test/item03.png", png(1, side=64)),
    "is not dark ink on white": lambda files: changed(files, "run06/test/item03.png", png(1, ground=0)),
    "cannot identify image file": lambda files: changed(files, "run06/test/item03.png", b"GIF89a"),
    "more than 65536": lambda files: changed(files, "run06/test/item03.png", bytes(2**20)),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_what_is_wrong_with_an_archive_is_one_line(tmp_path, whole, reason):
    path = written(tmp_path / "all_runs.zip", BROKEN[reason](whole))
    with pytest.raises(DataError) as caught:
        one_shot_runs.published(path)
    assert str(caught.value).startswith(f"{path} is not Omniglot's all_runs.zip, or is damaged (")
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_a_cut_or_altered_archive_is_refused(tmp_path, whole):
    path = tmp_path / "all_runs.zip"
    written(path, whole)
    contents = bytearray(path.read_bytes())
    path.write_bytes(contents[:-1000])
    with pytest.raises(DataError, match="damaged"):
        one_shot_runs.published(str(path))
    contents[contents.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(contents)
    with pytest.raises(DataError, match="damaged"):
        one_shot_runs.published(str(path))


def test_what_is_no_archive_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.zip does not exist"):
        one_shot_runs.published(str(tmp_path / "none.zip"))
    with pytest.raises(DataError, match="is a directory"):
        one_shot_runs.published(str(tmp_path))
    (tmp_path / "large.zip").write_bytes(bytes(2**24 + 1))
    with pytest.raises(DataError, match="more than 16777216 bytes"):
        one_shot_runs.published(str(tmp_path / "large.zip"))


@pytest.fixture
def drawings(monkeypatch):
    """Of each character by each drawer a file that says of whom and what it is; the last alphabet is too small."""
    sizes = [20, 26, 45, *[23] * 16, 19]
    names = [f"{chr(97 + place)}/character{number:02d}" for place, size in enumerate(sizes) for number in range(size)]
    files = {name: [f"{name} by {drawer}".encode() for drawer in range(20)] for name in names}
    monkeypatch.setattr(omniglot, "evaluation_drawings", lambda data_dir: files)


def read(files):
    """`(alphabets, characters, drawers)` of files."""
    names, drawers = zip(*(file.decode().split(" by ") for file in files), strict=True)
    return {name[0] for name in names}, names, set(drawers)


def test_drawn_runs_keep_the_rule(drawings):
    runs = one_shot_runs.drawn(None)
    assert len(runs) == 20 and len({run.name for run in runs}) == 20
    alphabets = collections.Counter()
    for run in runs:
        ours, theirs = read(run.training), read(run.test)
        assert len(set(ours[1])) == 20
        assert [ours[1][answer] for answer in run.answers] == list(theirs[1])
        assert len(ours[2]) == len(theirs[2]) == 1 and ours[2] != theirs[2]
        assert len(ours[0] | theirs[0]) == 1
        alphabets.update(ours[0])
    assert len(alphabets) == 10 and set(alphabets.values()) == {2}
    assert "t" not in alphabets


def test_a_seed_decides_what_is_drawn(drawings):
    assert one_shot_runs.drawn(None, 3) == one_shot_runs.drawn(None, 3)
    assert one_shot_runs.drawn(None, 3) != one_shot_runs.drawn(None, 4)
