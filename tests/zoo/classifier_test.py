"""A model of the zoo answers about picture files as its export does, and by the commands."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from ml_lstm import serving, zoo
from ml_lstm.serving.exported import ExportedClassifier, NoPictureError
from tests import forks

pytestmark = pytest.mark.slow_unless(run_and_model=["meta_lstm"])


def picture(shade, kind="PNG", size=(40, 30), seed=0, **settings):
    """A file of noise around a shade."""
    pixels = np.random.default_rng(seed).integers(-30, 31, (size[1], size[0], 3)) + shade
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, kind, **settings)
    return file.getvalue()


def turned(shade):
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(shade, "JPEG", exif=exif)


SUPPORT = [picture(40), picture(60, "BMP"), picture(200, "JPEG"), turned(190), picture(120, "GIF")]
LABELS = ["night", "night", "day ü", "day ü", "dusk"]
QUERIES = [picture(50, size=(16, 16)), picture(195, "JPEG", (700, 400)), turned(130), picture(125, "GIF")]
NO_PICTURES = [b"", b"no picture", picture(50)[:60], picture(50, "JPEG")[:300], picture(50, "GIF")[:200]]


@pytest.fixture(scope="module")
def both(calibrated, tmp_path_factory):
    """The model of the zoo, and its export."""
    entry = calibrated
    card = json.dumps(entry.card)
    version = serving.export_version(
        entry.method(), entry.run.problem().image_shape, str(tmp_path_factory.mktemp("models") / "m"), card
    )
    return zoo.picture_classifier(str(entry.path)), ExportedClassifier(str(version))


@pytest.mark.slow
def test_answers_are_those_of_the_export(both):
    of_zoo, of_export = both
    kept, exported = (model.adapt(SUPPORT, LABELS) for model in both)
    for contents in QUERIES:
        mine, theirs = of_zoo.classify(kept, contents), of_export.classify(exported, contents)
        assert list(mine.probabilities) == list(theirs.probabilities) == ["day ü", "dusk", "night"]
        assert mine.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)
        assert mine.prediction == theirs.prediction
        assert mine.familiarity == pytest.approx(theirs.familiarity)
        assert 6 * mine.familiarity == pytest.approx(round(6 * mine.familiarity))  # of five known queries


def test_what_is_no_picture_is_refused_in_the_words_of_the_export(both):
    for contents in NO_PICTURES:
        words = []
        for model in both:
            with pytest.raises(NoPictureError) as refusal:
                model.require_picture(contents)
            words.append(re.sub(r"node .*?\}\}|\{\{.*", "", str(refusal.value)))
        assert words[0] == words[1] or ("Trying to decode" in words[0]) == ("Trying to decode" in words[1]), words


def test_the_card_is_that_of_the_entry(both, calibrated):
    entry = calibrated
    of_zoo, of_export = both
    assert of_zoo.card["limits"] == of_export.card["limits"] == entry.card["limits"]
    assert of_zoo.card["image_shape"] == of_export.card["image_shape"] == [16, 16, entry.card["image_shape"][2]]


@pytest.fixture
def folders(tmp_path):
    for name, contents in zip(("night/1.png", "night/2.bmp", "day/1.jpg", "day/2.jpg"), SUPPORT, strict=False):
        path = tmp_path / "support" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    (tmp_path / "query").mkdir()
    (tmp_path / "query/a.png").write_bytes(QUERIES[0])
    return tmp_path


def run(command, *flags):
    return forks.run(f"ml_lstm.{command}", *flags)


def own_line(result, command):
    (line,) = (line for line in result.stderr.splitlines() if line.startswith((f"ml_lstm.{command}:", "FATAL")))
    return line


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (b"no picture", "is not a JPEG, PNG, BMP or GIF image."),
        (b"GIF89a and then?", "is a damaged GIF."),
        (b"", "is not a JPEG, PNG, BMP or GIF image."),
    ],
)
def test_what_is_no_picture_is_told_as_of_an_export(both, contents, problem):
    for classifier in both:
        with pytest.raises(NoPictureError, match=f"^{problem}$"):
            classifier.require_picture(classifier.fitted(contents))


def test_pictures_are_classified_with_one_command_and_no_export(both, calibrated, folders):
    entry = calibrated
    flags = [f"--support={folders / 'support'}", f"--query={folders / 'query'}", f"--json={folders / 'out.json'}"]
    flags += [f"--csv={folders / 'out.csv'}", "--top=2"]
    result = run("adapt", f"--model={entry.path}", *flags)
    assert result.returncode == 0, result.stderr
    assert [f"Note: {limit}" for limit in entry.card["limits"]] == [
        line for line in result.stderr.splitlines() if line.startswith("Note: ")
    ]
    told = json.loads((folders / "out.json").read_text())
    assert told["model"] == str(entry.path)
    (answer,) = told["answers"]
    names = sorted(path for path in (folders / "support").rglob("*.*"))
    adaptation = both[0].adapt([path.read_bytes() for path in names], [path.parent.name for path in names])
    expected = both[0].classify(adaptation, QUERIES[0])
    assert answer["class"] == expected.prediction
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    assert answer["familiarity"] == pytest.approx(expected.familiarity)
    heading, first, second = result.stdout.splitlines()
    assert heading.split() == ["file", "class", "probability", "familiarity"]
    assert first.endswith(f"  {expected.familiarity:.3f}") and second.endswith("%")
    with open(folders / "out.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["familiarity"]) == pytest.approx(expected.familiarity)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model=photo"], "The zoo has no model 'photo'"),
        ([], "give exactly one of --model or --saved_model"),
        (["--model=photos", "--saved_model=there/1"], "give exactly one of --model or --saved_model"),
    ],
)
def test_what_names_no_model_or_two_is_one_line(flags, words, folders):
    result = run("adapt", *flags, f"--support={folders / 'support'}", f"--query={folders / 'query'}")
    assert result.returncode == (1 if len(flags) == 1 else 2)
    assert words in own_line(result, "adapt")
