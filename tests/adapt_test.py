"""python -m ml_lstm.adapt: folders of pictures in, a table and files out, and one line for what is wrong."""

import csv
import json
import resource
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Problem
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM
from ml_lstm.serving import export_version
from tests import forks

SHAPE = (16, 16, 1)
LIMITS = ["Meta-trained on glyphs: on other kinds of images expect less.", "At most 2 classes."]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    keras.utils.set_random_seed(0)
    method = MetaLSTM(conv4(SHAPE, 2, filters=2), Problem(SHAPE, 2), MetaLSTMCell(hidden_units=0), inner_steps=1)
    card = json.dumps({"limits": LIMITS})
    return export_version(method, SHAPE, str(tmp_path_factory.mktemp("models")), card).parent


@pytest.fixture
def folders(tmp_path):
    """Support set of black `night` and white `day ü`, two queries."""
    for name, value, kind in (
        ("night/1", 0, "png"),
        ("night/2", 9, "bmp"),
        ("day ü/1", 255, "jpg"),
        ("day ü/2", 250, "gif"),
    ):
        path = tmp_path / "support" / f"{name}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30), value, "uint8")).save(path)
    (tmp_path / "query").mkdir()
    for name, value in (("a", 3), ("b", 252)):
        Image.fromarray(np.full((20, 30, 3), value, "uint8")).save(tmp_path / "query" / f"{name}.png")
    return tmp_path


def adapt(saved_model, folders, *flags, **more):
    words = [f"--saved_model={saved_model}", f"--support={folders / 'support'}", f"--query={folders / 'query'}", *flags]
    if not more:
        return forks.run("ml_lstm.adapt", *words)
    command = [sys.executable, "-m", "ml_lstm.adapt", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=3000, **more)


def own_lines(result):
    """What the command itself wrote to stderr."""
    return [line for line in result.stderr.splitlines() if line.startswith(("ml_lstm.adapt:", "Left out", "FATAL"))]


@pytest.mark.slow_unless(kind=["csv"])
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_table_that_there_is_no_space_for_leaves_the_one_of_before(kind, models, folders):
    table = folders / f"table.{kind}"
    table.write_text("before")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))

    result = adapt(models / "1", folders, f"--{kind}={table}", preexec_fn=limit)
    assert result.returncode == 1
    (line,) = own_lines(result)
    assert f"{table}: " in line and "Free some space" in line
    assert table.read_text() == "before"
    assert not list(folders.glob(".table*"))


def test_one_class_is_every_answer_and_that_is_told(models, folders):
    shutil.rmtree(folders / "support" / "night")
    result = adapt(models / "1", folders)
    assert result.returncode == 0
    assert [line.split()[1:] for line in result.stdout.splitlines()[1:]] == [["day", "ü", "1.000"]] * 2
    assert (
        "Note: The support set has only one class, so every answer is that class, with probability 1" in result.stderr
    )


def test_table_csv_and_json_agree_and_name_what_is_no_picture(models, folders):
    (folders / "support" / "night" / "notes.txt").write_text("no picture")
    (folders / "query" / "c.png").write_bytes(b"")
    (folders / "query" / ".hidden").write_text("is not looked at")
    (folders / "support" / "__MACOSX" / "night").mkdir(parents=True)
    (folders / "query" / "Thumbs.db").write_text("is not looked at")
    result = adapt(models / "1", folders, f"--csv={folders / 'out.csv'}", f"--json={folders / 'out.json'}")
    assert result.returncode == 0, result.stderr
    problem = "is not a JPEG, PNG, BMP or GIF image."
    left_out = [str(folders / "support/night/notes.txt"), str(folders / "query/c.png")]
    assert own_lines(result) == [f"Left out {path}: {problem}" for path in sorted(left_out, reverse=True)]
    written = json.loads((folders / "out.json").read_text())
    assert written["limits"] == LIMITS
    notes = [line for line in result.stderr.splitlines() if line.startswith("Note: ")]
    assert notes == [f"Note: {limit}" for limit in LIMITS]
    assert written["left_out"] == dict.fromkeys(left_out, problem)
    assert [answer["file"] for answer in written["answers"]] == [str(folders / "query" / f"{n}.png") for n in "ab"]
    for answer in written["answers"]:
        assert set(answer["probabilities"]) == {"night", "day ü"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["probability"] == max(answer["probabilities"].values())
    with open(folders / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["class"], float(row["probability"])) for row in rows] == [
        (answer["file"], answer["class"], answer["probability"]) for answer in written["answers"]
    ]
    table = result.stdout.splitlines()
    assert table[0].split() == ["file", "class", "probability"]
    for line, answer in zip(table[1:], written["answers"], strict=True):
        name, rest = line.split("  ", 1)
        assert answer["file"].endswith(f"/{name}")
        assert answer["class"] in rest
        assert line.endswith(f"{answer['probability']:.3f}")


def test_the_best_classes_of_each_query_are_printed_with_percentages(models, folders):
    result = adapt(models / "1", folders, "--top=5", f"--json={folders / 'out.json'}")
    assert result.returncode == 0, result.stderr
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["file", "class", "probability"]
    answers = json.loads((folders / "out.json").read_text())["answers"]
    assert len(rows) == 4  # of five that were asked for there are two
    for answer, first, second in zip(answers, rows[::2], rows[1::2], strict=True):
        (best, most), (other, least) = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
        assert first.split("  ")[0] == answer["file"].rpartition("/")[2]
        assert first.rstrip().endswith(f"  {most:.1%}") and f"  {best}  " in first
        assert second.startswith("     ") and second.rstrip().endswith(f"  {least:.1%}") and f"  {other}  " in second


def test_only_the_best_class_is_printed_if_one_is_asked_for(models, folders):
    one, plain = adapt(models / "1", folders, "--top=1"), adapt(models / "1", folders)
    for row, other in zip(one.stdout.splitlines()[1:], plain.stdout.splitlines()[1:], strict=True):
        assert row.endswith("%")
        assert row.rsplit("  ", 1)[0].split() == other.rsplit("  ", 1)[0].split()


def test_support_queries_and_answers_are_drawn(models, folders):
    (folders / "query" / "c.png").write_bytes(b"no picture")
    result = adapt(models / "1", folders, f"--pictures={folders / 'out.png'}", f"--json={folders / 'out.json'}")
    assert result.returncode == 0, result.stderr
    sheet = np.asarray(Image.open(folders / "out.png").convert("RGB"))
    # A support picture is 30x20: black (0, 9) or white (250; 255 is the sheet's own), queries are of shades 3 and 252.
    rows = {}
    for shade in (9, 3, 250, 252):
        there = (sheet == shade).all(-1)
        assert there.sum() > 64 * 30, shade
        found = np.flatnonzero(there.sum(1) > 50)
        rows[shade] = found.mean()
    assert rows[9] != rows[250]
    answers = json.loads((folders / "out.json").read_text())["answers"]
    of_class = {"night": rows[9], "day ü": rows[250]}
    for answer, shade in zip(answers, (3, 252), strict=True):
        assert rows[shade] == pytest.approx(of_class[answer["class"]], abs=2)


@pytest.mark.parametrize(
    ("flag", "words"), [("--pictures=out.jpg", "give the name of a file, FILE.png"), ("--top=0", "--top=0")]
)
def test_a_picture_of_another_kind_and_no_class_at_all_are_refused_before_anything_is_read(
    flag, words, models, folders
):
    result = adapt(models / "1", folders, flag)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = own_lines(result)
    assert words in line


def test_a_picture_that_cannot_be_written_is_one_line_and_the_table_is_printed(models, folders):
    result = adapt(models / "1", folders, f"--pictures={folders / 'nowhere' / 'out.png'}")
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 3
    assert own_lines(result)[-1].endswith("nowhere/out.png: No such file or directory. Check the path.")


def test_a_photograph_of_a_phone_is_turned_and_shrunk(models, folders):
    """To be turned it is of one shade on the left and of another on the right; more pixels than a model takes."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, left, right in (("night/3", 0, 20), ("day ü/3", 240, 255)):
        picture = Image.fromarray(np.repeat(np.uint8([left, right]), 2500)[None].repeat(4000, 0))
        picture.transpose(Image.Transpose.ROTATE_90).save(folders / "support" / f"{name}.jpg", exif=exif)
    picture.transpose(Image.Transpose.ROTATE_90).save(folders / "query" / "c.jpg", exif=exif)
    result = adapt(models / "1", folders, "--strict")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 4


@pytest.mark.parametrize(
    ("emptied", "words"),
    [
        ("support/night", "night has no image that the model can read, only folders (in): "),
        ("query", "no files, only fo"),
    ],
)
def test_folders_in_place_of_pictures_are_named(models, folders, emptied, words):
    (folders / "away").mkdir()
    for path in (folders / emptied).iterdir():
        path.rename(folders / "away" / path.name)
    (folders / emptied / "in").mkdir()
    result = adapt(models / "1", folders)
    assert result.returncode == 1
    assert words in own_lines(result)[-1]


def test_strict_stops_at_what_is_no_picture(models, folders):
    (folders / "query" / "c.png").write_bytes(b"no picture")
    result = adapt(models / "1", folders, "--strict")
    assert (result.returncode, result.stdout) == (1, "")
    assert own_lines(result) == [f"ml_lstm.adapt: {folders / 'query' / 'c.png'}: is not a JPEG, PNG, BMP or GIF image."]


def test_more_classes_than_the_model_tells_apart_is_one_line(models, folders):
    shutil.copytree(folders / "support" / "night", folders / "support" / "dusk")
    result = adapt(models / "1", folders)
    assert result.returncode == 1
    assert own_lines(result) == ["ml_lstm.adapt: The model can distinguish at most 2 classes; the support set has 3"]


def test_a_model_without_its_version_is_one_line(models, folders):
    result = adapt(models, folders)
    assert result.returncode == 1
    assert own_lines(result) == [
        f"ml_lstm.adapt: {models} is not a SavedModel (no saved_model.pb): give a version, {models / '1'}."
    ]


def test_a_flag_that_is_not_known_exits_2(models, folders):
    assert adapt(models / "1", folders, "--no_such_flag").returncode == 2
