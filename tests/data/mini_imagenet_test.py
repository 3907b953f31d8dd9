"""mini-ImageNet made of an ImageNet in the real layout, of a few pictures a class."""

import io
import itertools
import shutil
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from ml_lstm.data import DataError, splits
from ml_lstm.data.sources import mini_imagenet

SPLIT = splits.published("mini_imagenet")
NAMES = sorted(itertools.chain(*SPLIT.values()))
PER_CLASS = 2


def numbers(name):
    """Of the pictures of a class, in their files' names: in no order, with gaps, of one to five digits."""
    return [10 * n + NAMES.index(name) % 10 for n in (1000, 3, 0, 70)]


def shade(name, number):
    return (NAMES.index(name) * 2, number % 251, 90)


def jpeg(name, number):
    """Wider than high; the middle square has the class's and the number's own shade."""
    picture = Image.new("RGB", (130, 90), (255, 255, 255))
    picture.paste(shade(name, number), (20, 0, 110, 90))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=100, subsampling=0)
    return file.getvalue()


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(mini_imagenet, "PER_CLASS", PER_CLASS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """All 100 classes as folders, and one more; the lists beside them, as the published ones are written."""
    root = tmp_path_factory.mktemp("imagenet")
    for name in [*NAMES[:50], *NAMES[50:]]:
        (root / name).mkdir()
        for number in numbers(name):
            (root / name / f"{name}_{number}.JPEG").write_bytes(jpeg(name, number))
    (root / "n99999999").mkdir()
    for part, names in SPLIT.items():
        lines = [f"{name}{rank:08}.jpg,{name}" for name in names for rank in (2, 4)]
        (root / f"{part}.csv").write_text("\n".join(["filename,label", *lines]) + "\n")
    return root


@pytest.fixture(scope="module")
def archive(folders, tmp_path_factory):
    """The same as ImageNet's archive of archives."""
    root = tmp_path_factory.mktemp("archive")
    with tarfile.open(root / mini_imagenet.ARCHIVE, "w") as outer:
        for name in ["n99999999", *NAMES]:
            file = io.BytesIO()
            with tarfile.open(fileobj=file, mode="w") as inner:
                for path in (folders / name).iterdir():
                    inner.add(path, path.name)
            entry = tarfile.TarInfo(f"{name}.tar")
            entry.size = file.tell()
            file.seek(0)
            outer.addfile(entry, file)
    for part in SPLIT:
        shutil.copy(folders / f"{part}.csv", root)
    return root


@pytest.fixture
def copied(folders, tmp_path):
    """One that may be damaged."""
    return shutil.copytree(folders, tmp_path / "imagenet")


def load(manual_dir, tmp_path):
    return mini_imagenet.load(
        84, data_dir=str(tmp_path / "tfds"), cache_dir=str(tmp_path / "cache"), manual_dir=str(manual_dir)
    )


@pytest.mark.parametrize("form", ["folders", "archive"])
def test_the_listed_pictures_of_the_published_classes_are_taken(form, request, tmp_path, monkeypatch, caplog):
    pools = load(request.getfixturevalue(form), tmp_path)
    assert {part: list(pool.names) for part, pool in pools.items()} == SPLIT
    for pool in pools.values():
        np.testing.assert_array_equal(pool.counts, PER_CLASS)
        assert pool.image_shape == (84, 84, 3)
        for name, start in zip(pool.names, pool.offsets, strict=True):
            second, fourth = (sorted(numbers(name))[rank - 1] for rank in (2, 4))
            found = sorted(pool.images[start : start + 2, 42, 42].astype(int).tolist(), key=lambda colour: colour[1])
            expected = sorted([shade(name, second), shade(name, fourth)], key=lambda colour: colour[1])
            np.testing.assert_allclose(found, expected, atol=3)  # JPEG
    # The middle square and no white of the sides.
    assert max(pool.images[..., 2].max() for pool in pools.values()) < 120
    monkeypatch.setattr(mini_imagenet, "_build", None)
    again = load(tmp_path, tmp_path)  # now prepared: ImageNet is not needed any more
    np.testing.assert_array_equal(again["test"].images, pools["test"].images)
    assert "another rule" not in caplog.text
    now = tmp_path / "tfds" / mini_imagenet.NAME / mini_imagenet.VERSION
    now.rename(now.with_name("1.0.0"))  # shrunk by an older version
    load(tmp_path, tmp_path)
    assert "resized by another rule than exports: delete it" in caplog.text


def test_a_list_may_name_imagenets_own_files(copied, tmp_path):
    name = SPLIT["test"][3]
    third = sorted(numbers(name))[2]
    path = copied / "test.csv"
    path.write_text(path.read_text().replace(f"{name}00000002.jpg", f"{name}_{third}.JPEG"))
    pool = load(copied, tmp_path)["test"]
    greens = {int(image[42, 42, 1]) for image in pool.images[pool.offsets[3] :][:2]}
    assert any(abs(green - third % 251) <= 3 for green in greens)


def _cut(root):
    path = root / NAMES[5] / f"{NAMES[5]}_{sorted(numbers(NAMES[5]))[1]}.JPEG"
    path.write_bytes(path.read_bytes()[:300])


def _edit(part, before, after):
    def damage(root):
        path = root / f"{part}.csv"
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))

    return damage


TEST, VAL = SPLIT["test"][0], SPLIT["val"][0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: shutil.rmtree(root / TEST), rf"Class {TEST} is not in .*check that ImageNet is complete"),
        (_edit("test", f"{TEST}00000002.jpg", f"{TEST}00000005.jpg"), rf"{TEST} has 4 images, .*{TEST}00000005"),
        (_edit("test", f"{TEST}00000002.jpg", f"{TEST}_7.JPEG"), rf"{TEST} has no image {TEST}_7\.JPEG"),
        (_edit("test", f"{TEST}00000002.jpg,{TEST}\n", ""), rf"lists 1 images of class {TEST}, not the {PER_CLASS}"),
        (
            _edit("test", f"{TEST}00000002.jpg,{TEST}\n", f"x.jpg,{VAL}\n"),
            rf"lists 1 images of class {VAL}, not the 0",
        ),
        (_edit("val", ",", ";"), r"val\.csv is not a list of images"),
        (_cut, rf"{NAMES[5]}_\d+\.JPEG cannot be read as an image"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_left_behind(copied, damage, message, tmp_path):
    damage(copied)
    with pytest.raises(DataError, match=message) as caught:
        load(copied, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "tfds").glob("mini_imagenet/*/dataset_info.json"))


@pytest.mark.parametrize("size", [1000, 300_000])
def test_an_archive_cut_short_is_said_to_be(archive, size, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(archive, damaged)
    path = damaged / mini_imagenet.ARCHIVE
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"is damaged or incomplete|check that ImageNet is complete"):
        load(damaged, tmp_path)


def test_without_imagenet_it_is_said_where_to_put_it(tmp_path):
    with pytest.raises(DataError, match=rf"No prepared mini-ImageNet .*put {mini_imagenet.ARCHIVE}.*--manual_dir"):
        load(tmp_path, tmp_path)
    with pytest.raises(DataError, match=r"downloads/manual"):
        mini_imagenet.load(84, data_dir=str(tmp_path))


def test_lists_that_are_not_given_are_downloaded(copied, tmp_path, monkeypatch):
    lists = tmp_path / "downloaded"
    lists.mkdir()
    for part in SPLIT:
        shutil.move(copied / f"{part}.csv", lists)
    asked = []

    def download(self, urls):
        asked.append(urls)
        return {part: lists / f"{part}.csv" for part in urls}

    monkeypatch.setattr(tfds.download.DownloadManager, "download", download)
    assert len(load(copied, tmp_path)["val"].images) == 16 * PER_CLASS
    assert asked == [{part: mini_imagenet.LISTS.format(part) for part in ("train", "val", "test")}]


def test_lists_that_cannot_be_downloaded_are_said_so(copied, tmp_path, monkeypatch):
    def download(self, urls):
        raise ConnectionError("Failed to resolve 'github'\nand more lines")

    (copied / "val.csv").unlink()
    monkeypatch.setattr(tfds.download.DownloadManager, "download", download)
    with pytest.raises(DataError, match=r"cannot be prepared from .*Failed to resolve") as caught:
        load(copied, tmp_path)
    assert "\n" not in str(caught.value)
