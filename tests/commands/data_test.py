"""`python -m ml_lstm.data`: the list of sources, and a look at one."""

import numpy as np
import pytest
from PIL import Image

from ml_lstm.data import SOURCES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten classes of four pictures; one file is none, and one picture is in two classes."""
    root = tmp_path_factory.mktemp("folder")
    random = np.random.default_rng(0)
    for number in range(10):
        directory = root / f"class {number}"
        directory.mkdir()
        for index in range(4):
            picture = Image.fromarray(random.integers(0, 256, (20, 20, 3)).astype(np.uint8))
            picture.save(directory / f"{index}.png")
    (root / "class 3" / "4.png").write_text("no picture")
    return root


@pytest.fixture(scope="module")
def green(tmp_path_factory):
    """What a microscope sees that sees green alone."""
    root = tmp_path_factory.mktemp("green")
    random = np.random.default_rng(1)
    for number in range(9):
        (root / f"class {number}").mkdir()
        for index in range(4):
            pixels = np.zeros((20, 20, 3), np.uint8)
            pixels[..., 1] = random.integers(0, 256, (20, 20))
            Image.fromarray(pixels).save(root / f"class {number}" / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def ended(commands, folder, green, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    sheet, config = str(scratch / "sheet.png"), scratch / "as_for_train.flags"
    config.write_text("--method=prototypical\n--meta_batch_size=4\n--dataset=folder\n--n_way=3\n")
    look = ("data", f"--flagfile={config}", f"--data_dir={folder}", "--split_fractions=0.4,0.3,0.3")
    futures = {
        "list": commands.background(commands.run, "data"),
        "fits": commands.background(commands.run, *look, "--k_shot=2", "--n_query=2", f"--contact_sheet={sheet}"),
        "too small": commands.background(commands.run, *look, "--k_shot=2", "--n_query=3"),
        "strict": commands.background(commands.run, *look, "--k_shot=2", "--n_query=2", "--strict"),
        "wrong": commands.background(commands.run, *look, "--split_fractions=0.4,0.3,0.4"),
    }
    small = (f"--data_dir={green}", "--split_fractions=0.4,0.3,0.3", "--n_way=2", "--k_shot=1", "--n_query=2")
    futures["green"] = commands.background(commands.run, "data", "--dataset=folder", *small)
    run = ("--method=prototypical", "--dataset=folder", *small, "--episodes=60")
    futures["trained on green"] = commands.background(commands.train, scratch / "run", *run)
    return lambda name: (futures[name].result(), sheet)


def test_without_a_source_all_are_listed(ended):
    result, _ = ended("list")
    assert result.status == 0
    for name, source in SOURCES.items():
        assert any(line.startswith(name) and source.description in line for line in result.stdout.splitlines())


def test_a_source_is_described_checked_and_drawn(ended):
    result, sheet = ended("fits")
    assert result.status == 0, result
    assert "train      4 classes,      16 images, 4 a class, 28x28x3" in result.stdout
    assert result.stdout.count(" 3 classes,      12 images, 4 a class") == 2
    assert "every class has enough images" in result.stdout
    assert result.stderr.count("class 3/4.png") == 1
    assert "1 file(s) in" in result.stderr
    with Image.open(sheet) as picture:
        assert min(picture.size) > 300


def test_what_does_not_fit_the_setting_is_said_and_fails(ended):
    result, _ = ended("too small")
    assert result.status == 1
    problems = [line for line in result.stdout.splitlines() if line.startswith("Problem: ")]
    assert len(problems) == 3
    assert "2 support + 3 query images" in problems[0]


def test_strict_stops_at_a_file_that_is_no_picture(ended):
    result, _ = ended("strict")
    assert "class 3/4.png" in result.refusal()


def test_shares_that_do_not_add_up_are_refused(ended):
    result, _ = ended("wrong")
    assert "--split_fractions" in result.refusal(2)
    assert "add up to 1" in result.refusal(2)


def test_channels_that_never_change_are_noted_and_trained_on(ended):
    result, _ = ended("green")
    assert result.status == 0, result
    assert result.stdout.count("Note: red and blue never change") == 3
    trained, _ = ended("trained on green")
    assert trained.status == 0, trained
    assert "best meta-validation accuracy" in trained.stdout
