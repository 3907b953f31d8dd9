"""A user's own pictures in folders."""

import itertools
import os
import shutil
import unicodedata

import numpy as np
import pytest
from absl import logging
from PIL import Image

from ml_lstm.data import DataError, load
from ml_lstm.data.sources import folder

SIDE = 16


@pytest.fixture
def pictures(tmp_path):
    """Split by hand."""
    for split, classes in {"train": "ab", "val": "c", "test": "d"}.items():
        for name in classes:
            directory = tmp_path / split / f"{name} ü"
            directory.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (30, 20), (50 * number, 100, 200)).save(directory / f"{number}.png")
    Image.new("L", (8, 8), 77).save(tmp_path / "train" / "a ü" / "1.png")
    return tmp_path


@pytest.fixture
def classes(tmp_path):
    """Thirty classes of two pictures, not split."""
    for number in range(30):
        directory = tmp_path / f"класс {number}"
        directory.mkdir()
        for shade in (number, 100 + number):
            Image.new("L", (8, 8), shade).save(directory / f"{shade:03}.png")
    return tmp_path


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: found.append(text % values))
    return found


def test_pictures_are_resized_rgb_in_the_order_of_their_names(pictures):
    pools = folder.load(SIDE, data_dir=str(pictures))
    assert pools["train"].names == ("a ü", "b ü")
    assert pools["train"].images.shape == (6, SIDE, SIDE, 3)
    np.testing.assert_array_equal(pools["train"].images[:, 0, 0, 0], [0, 77, 100, 0, 50, 100])


def test_hidden_files_and_folders_are_passed_over(pictures, warnings):
    (pictures / "train" / ".cache").mkdir()
    (pictures / "train" / "a ü" / ".DS_Store").write_text("no picture")
    assert len(folder.load(SIDE, data_dir=str(pictures))["train"].images) == 6
    assert not warnings


def test_classes_are_split_by_shares_that_their_names_and_the_seed_decide(classes):
    pools = folder.load(SIDE, data_dir=str(classes), split_fractions=(0.5, 0.2, 0.3))
    assert {split: len(pool.names) for split, pool in pools.items()} == {"train": 15, "val": 6, "test": 9}
    assert len({name for pool in pools.values() for name in pool.names}) == 30
    for pool in pools.values():
        assert list(pool.images[pool.offsets, 0, 0, 0]) == [int(name.split()[1]) for name in pool.names]
    again, other = (
        folder.load(SIDE, data_dir=str(classes), split_fractions=(0.5, 0.2, 0.3), split_seed=seed) for seed in (0, 1)
    )
    assert again["test"].names == pools["test"].names != other["test"].names
    for path in classes.glob("*/1??.png"):
        path.unlink()
    assert (
        folder.load(SIDE, data_dir=str(classes), split_fractions=(0.5, 0.2, 0.3))["test"].names == pools["test"].names
    )


@pytest.mark.parametrize("number", [3, 4, 5])
@pytest.mark.parametrize("fractions", [(0.64, 0.16, 0.2), (0.98, 0.01, 0.01), (0.01, 0.01, 0.98), (0.01, 0.98, 0.01)])
def test_every_split_has_a_class(number, fractions, classes):
    for index in range(number, 30):
        shutil.rmtree(classes / f"класс {index}")
    pools = folder.load(SIDE, data_dir=str(classes), split_fractions=fractions)
    assert min(len(pool.names) for pool in pools.values()) >= 1
    assert sum(len(pool.names) for pool in pools.values()) == number


# A picture that is red on the left and blue on the right, in each of the forms that files come in.
RED_AND_BLUE = np.zeros((SIDE, SIDE, 3), np.uint8)
RED_AND_BLUE[:, : SIDE // 2, 0] = RED_AND_BLUE[:, SIDE // 2 :, 2] = 255


def _rotated(picture, path, orientation):
    """Stored as EXIF orientation says that it must be turned back."""
    stored = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.transpose(stored).save(path, exif=exif, quality=100, subsampling=0)


def _animated(picture, path):
    picture.save(path, save_all=True, append_images=[picture.transpose(Image.Transpose.ROTATE_180)], duration=100)


def _transparent(picture, path):
    """Blue is what shows through: white then."""
    picture = picture.convert("RGBA")
    picture.putalpha(Image.fromarray(np.where(RED_AND_BLUE[..., 0] > 0, 255, 0).astype(np.uint8)))
    picture.save(path)


FORMS = {
    "rgb.png": lambda picture, path: picture.save(path),
    "rgb.bmp": lambda picture, path: picture.save(path),
    "rgb.jpg": lambda picture, path: picture.save(path, quality=100, subsampling=0),
    "palette.png": lambda picture, path: picture.quantize(4).save(path),
    "palette.gif": lambda picture, path: picture.save(path),
    "animated.gif": _animated,
    "cmyk.jpg": lambda picture, path: picture.convert("CMYK").save(path, quality=100, subsampling=0),
    "turned 3.jpg": lambda picture, path: _rotated(picture, path, 3),
    "turned 6.jpg": lambda picture, path: _rotated(picture, path, 6),
    "turned 8.png": lambda picture, path: _rotated(picture, path, 8),
    "no ending": lambda picture, path: picture.save(path, "png"),
    "wrong ending.txt": lambda picture, path: picture.save(path, "jpeg", quality=100, subsampling=0),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_picture_comes_out_right(name, pictures, warnings):
    for path in (pictures / "val" / "c ü").iterdir():
        path.unlink()
    FORMS[name](Image.fromarray(RED_AND_BLUE), pictures / "val" / "c ü" / name)
    (image,) = folder.load(SIDE, data_dir=str(pictures))["val"].images
    assert np.abs(image.astype(int) - RED_AND_BLUE).max() <= 3  # JPEG leaves some freedom
    assert not warnings


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode, pictures):
    path = pictures / "val" / "c ü" / "0.png"
    transparent = Image.fromarray(RED_AND_BLUE).convert("RGBA")
    transparent.putalpha(Image.fromarray(np.where(RED_AND_BLUE[..., 0] > 0, 255, 0).astype(np.uint8)))
    transparent.convert(mode).save(path)
    image = folder.load(SIDE, data_dir=str(pictures))["val"].images[0]
    assert (image[:, SIDE // 2 :] == 255).all()
    assert (image[:, : SIDE // 2, 1:] < 100).all()


def test_sixteen_bits_become_eight(pictures):
    shades = np.tile(np.arange(SIDE, dtype=np.uint16) * 4096, (SIDE, 1))
    Image.fromarray(shades).save(pictures / "val" / "c ü" / "0.png")
    image = folder.load(SIDE, data_dir=str(pictures))["val"].images[0]
    np.testing.assert_array_equal(image[0], np.repeat(np.arange(0, 256, 16)[:, None], 3, axis=1))


@pytest.fixture
def corrupt(tmp_path):
    """A thousand pictures, 10 of them cut short and 5 no pictures at all; and the names of the 15."""
    random = np.random.default_rng(0)
    for number in range(1000):
        directory = tmp_path / f"class {number % 20}"
        directory.mkdir(exist_ok=True)
        kind = ("jpg", "png")[number % 2]
        Image.fromarray(random.integers(0, 256, (20, 20, 3)).astype(np.uint8)).save(directory / f"{number}.{kind}")
    paths = sorted(tmp_path.glob("*/*"))
    bad = [paths[index] for index in random.choice(1000, 15, replace=False)]
    for path in bad[:10]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for path, contents in zip(bad[10:], (b"", b"text", b"\x89PNG\r\n\x1a\n", bytes(1000), b"GIF89a"), strict=True):
        path.write_bytes(contents)
    return tmp_path, {str(path) for path in bad}


def test_files_that_are_no_whole_picture_are_named_in_one_report_and_left_out(corrupt, warnings):
    root, bad = corrupt
    pools = folder.load(SIDE, data_dir=str(root))
    assert sum(len(pool.images) for pool in pools.values()) == 985
    (report,) = warnings
    first, *lines = report.splitlines()
    assert first.startswith("15 file(s) in ") and "--strict" in first
    assert {line.strip().rpartition(" (")[0] for line in lines} == bad


def test_strict_stops_at_them_with_one_line_that_names_all(corrupt):
    root, bad = corrupt
    with pytest.raises(DataError) as caught:
        folder.load(SIDE, data_dir=str(root), strict=True)
    message = str(caught.value)
    assert "\n" not in message and "leave out --strict" in message
    assert all(path in message for path in bad)


def _vanishes(root):
    """As if between the listing and the reading."""
    (root / "train" / "b ü" / "0.png").unlink()
    os.symlink("gone", root / "train" / "b ü" / "0.png")
    for number in (1, 2):
        (root / "train" / "b ü" / f"{number}.png").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "val").rename(root / "valid"), r"has test and train, but no val: rename valid to val"),
        (lambda root: shutil.rmtree(root / "val"), r"has test and train, but no val: make val"),
        (lambda root: shutil.rmtree(root / "val" / "c ü"), r"val has no class folder"),
        (lambda root: (root / "train" / "empty").mkdir(), r"train/empty has no readable image"),
        (lambda root: (root / "test" / "d ü").rename(root / "test" / "c ü"), r"val/c ü and test/c ü are two classes"),
        (lambda root: os.symlink("self", root / "train" / "self"), r"train/self is a broken or circular link"),
        (lambda root: os.symlink("gone", root / "train" / "other"), r"train/other is a broken or circular link"),
        (lambda root: os.symlink("..", root / "train" / "up"), r"train/up has no readable image"),
        (_vanishes, r"train/b ü has no readable image"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(pictures, damage, message, warnings):
    damage(pictures)
    with pytest.raises(DataError, match=message) as caught:
        folder.load(SIDE, data_dir=str(pictures))
    assert "\n" not in str(caught.value)


def test_a_name_written_in_two_ways_is_one_name(pictures):
    (pictures / "train" / unicodedata.normalize("NFD", "a ü")).mkdir()
    with pytest.raises(DataError, match="are two classes with the same name"):
        folder.load(SIDE, data_dir=str(pictures))


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_what_may_not_be_read_is_said_so(what, pictures, monkeypatch, warnings):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    if what == "a file":
        monkeypatch.setattr(type(pictures), "read_bytes", refuse)
        with pytest.raises(DataError, match="has no readable image"):
            folder.load(SIDE, data_dir=str(pictures))
        assert all("(Permission denied)" in line for line in warnings[0].splitlines()[1:])
    else:
        listed = type(pictures).iterdir
        monkeypatch.setattr(type(pictures), "iterdir", lambda path: refuse() if path.name == "b ü" else listed(path))
        with pytest.raises(DataError, match=r"train/b ü cannot be read \(Permission denied\)"):
            folder.load(SIDE, data_dir=str(pictures))


def test_a_picture_of_too_many_pixels_is_left_out(pictures, warnings):
    Image.new("1", (5000, 5000)).save(pictures / "train" / "a ü" / "large.png")
    assert [len(pool.images) for pool in folder.load(SIDE, data_dir=str(pictures)).values()] == [6, 3, 3]
    assert "large.png (has 5000 x 5000 pixels" in warnings[0]


def test_too_few_classes_to_split_are_refused(classes):
    for index in range(2, 30):
        shutil.rmtree(classes / f"класс {index}")
    with pytest.raises(DataError, match="has 2 class"):
        folder.load(SIDE, data_dir=str(classes))


@pytest.mark.parametrize(("directory", "message"), [(None, "set --data_dir=DIR"), ("nowhere", "is not a directory")])
def test_the_directory_must_be_given_and_be_there(directory, message):
    with pytest.raises(DataError, match=message):
        folder.load(SIDE, data_dir=directory)


def test_images_do_not_depend_on_the_order_that_the_file_system_lists(pictures, monkeypatch):
    expected = folder.load(SIDE, data_dir=str(pictures))
    listed = type(pictures).iterdir
    monkeypatch.setattr(type(pictures), "iterdir", lambda path: reversed(list(listed(path))))
    for first, second in itertools.zip_longest(folder.load(SIDE, data_dir=str(pictures)).values(), expected.values()):
        assert first.names == second.names
        np.testing.assert_array_equal(first.images, second.images)


def test_a_class_more_that_moves_others_between_splits_is_noticed(classes):
    settings = {"n_way": 2, "k_shot": 1, "n_query": 1, "data_dir": str(classes)}
    before = load("folder", **settings).class_digest()
    Image.new("L", (8, 8)).save(classes / "класс 0" / "one more.png")
    assert load("folder", **settings).class_digest() == before
    shutil.copytree(classes / "класс 0", classes / "one more")
    assert load("folder", **settings).class_digest() != before
    assert load("folder", **settings, split_seed=1).class_digest() != before


def laid_out(root, *paths):
    """Writes a picture to each path, other than the last one's, and a text to what ends so."""
    for number, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix:
            file.write_text("no picture")
        else:
            Image.new("L", (8, 8), number + 1).save(file, "PNG")
    return str(root)


VEHICLES = ("bus/1", "bus/2", "car/1", "car/2", "tram/1", "tram/2")
CLASSES = {
    "train is a vehicle": ((*VEHICLES, "train/1"), "bus car train tram"),
    "test is a class, and val too": ((*VEHICLES, "test/1", "val/1"), "bus car test tram val"),
    "all three are": ((*VEHICLES, "test/1", "val/1", "train/1"), "bus car test train tram val"),
    "train is a vehicle of two kinds": ((*VEHICLES, "train/1", "train/steam/2"), "bus car train tram"),
    "an archiver was there": ((*VEHICLES, "__MACOSX/bus/._1", "bus/Thumbs.db", "@eaDir/x"), "bus car tram"),
    "notes beside them": ((*VEHICLES, "labels.csv", "READ.ME"), "bus car tram"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_folders_of_files_are_classes_whatever_they_are_called(name, tmp_path):
    paths, names = CLASSES[name]
    pools = folder.load(SIDE, data_dir=laid_out(tmp_path, *paths))
    assert sorted(name for pool in pools.values() for name in pool.names) == names.split()


SPLIT = ("train/a/1", "val/b/1", "test/c/1")


@pytest.mark.parametrize("more", ["train/labels.csv", "__MACOSX/train/._a", "train/__MACOSX/a/1", "val/.hidden/1"])
def test_folders_of_folders_called_as_splits_are_splits(more, tmp_path, warnings):
    pools = folder.load(SIDE, data_dir=laid_out(tmp_path, *SPLIT, more))
    assert {split: pool.names for split, pool in pools.items()} == {"train": ("a",), "val": ("b",), "test": ("c",)}
    assert not warnings


EXPECTED = "Expected: images in .*/<class>/, or in .*/train/<class>/"
OTHER_LAYOUTS = {
    "alphabets": (
        ("Greek/alpha/1", "Greek/beta/1", "Latin/a/1"),
        r"has Greek, Latin with .*alpha, beta.*Greek_alpha",
    ),
    "alphabets in splits": (
        ("train/Greek/alpha/1", "val/Latin/a/1", "test/Thai/k/1"),
        r"train has Greek with .*Greek_alp",
    ),
    "long names": (
        ("training/a/1", "validation/b/1", "testing/c/1"),
        r"Rename testing to test, training to train, validation to val\.",
    ),
    "capitals": (("Train/a/1", "Val/b/1", "Test/c/1"), "Rename Test to test, Train to train, Val to val"),
    "sets": (
        ("train_set/a/1", "dev/b/1", "test-images/c/1"),
        "Rename dev to val, test-images to test, train_set to tra",
    ),
    "omniglot's": (("images_background/A/1/1", "images_evaluation/B/1/1"), "Rename images_background to train"),
    "one folder deeper": (("pictures/a/1", "pictures/b/1", "__MACOSX/pictures/1"), r"use --data_dir=.*/pictures"),
    "splits one folder deeper": (
        ("d/train/a/1", "d/val/b/1", "d/test/c/1"),
        r"has d with .*test, train, val.*use --data_d",
    ),
    "splits without classes": (("train/1", "val/1", "test/1"), "has test, train, val with files .* no class folder"),
    "long names without classes": (("training/1", "testing/1"), "has testing, training with files .* no class folder"),
    "a split among classes": (("train/a/1", "bus/1", "car/1"), "has bus, car with files.* and train with folders"),
}


@pytest.mark.parametrize("name", OTHER_LAYOUTS)
def test_another_layout_is_described_beside_what_is_expected(name, tmp_path):
    paths, words = OTHER_LAYOUTS[name]
    with pytest.raises(DataError, match=f"{words}.*{EXPECTED}") as caught:
        folder.load(SIDE, data_dir=laid_out(tmp_path, *paths))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ((*SPLIT, "unlabelled/1"), "has unlabelled beside train, val and test"),
        ((*SPLIT, "train/1"), "train has 1 image(s) outside class folders, which are ignored: 1"),
        ((*VEHICLES, "one", "two"), "has 2 image(s) outside class folders, which are ignored: one, two"),
        ((*VEHICLES, "bus/more/1"), "1 folder(s) inside class folders are ignored: bus/more"),
    ],
)
def test_pictures_that_are_not_looked_at_are_told(paths, words, tmp_path, warnings):
    folder.load(SIDE, data_dir=laid_out(tmp_path, *paths))
    (warning,) = warnings
    assert words in warning


@pytest.fixture
def read(monkeypatch):
    """The files that were read."""
    found, reader = [], folder._read
    monkeypatch.setattr(folder, "_read", lambda path, *settings: found.append(path) or reader(path, *settings))
    return found


def _shades(pictures, tmp_path):
    pools = folder.load(SIDE, data_dir=str(pictures), cache_dir=str(tmp_path / "cache"))
    return {split: pool.images[:, 0, 0, 0].tolist() for split, pool in pools.items()}


def test_pictures_are_read_once(pictures, read, tmp_path_factory, warnings):
    (pictures / "train" / "a ü" / "9.png").write_bytes(b"no picture")
    place = tmp_path_factory.mktemp("once")
    first = _shades(pictures, place)
    assert len(read) == 13
    assert _shades(pictures, place) == first
    assert len(read) == 13
    assert len(warnings) == 2 and "9.png" in warnings[0] and warnings[1] == warnings[0]


def _painted(path):
    Image.new("RGB", (30, 20), (250, 100, 200)).save(path)


def _painted_at_the_same_time(path):
    """As a tool does that restores times."""
    size, stat = path.stat().st_size, path.stat()
    _painted(path)
    assert path.stat().st_size == size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _moved(path):
    path.rename(path.with_name("3.png"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_painted, [0, 77, 100, 250, 50, 100]),
        (_painted_at_the_same_time, [0, 77, 100, 250, 50, 100]),
        (_moved, [0, 77, 100, 50, 100, 0]),
        (os.remove, [0, 77, 100, 50, 100]),
    ],
)
def test_what_changed_is_read_anew_and_replaces_what_was_kept(change, expected, pictures, tmp_path_factory):
    place = tmp_path_factory.mktemp("changed")
    before = _shades(pictures, place)
    change(pictures / "train" / "b ü" / "0.png")
    after = _shades(pictures, place)
    assert after == before | {"train": expected}
    assert len(list((place / "cache").iterdir())) == 1


def test_what_was_kept_stays_where_nothing_new_can_be(pictures, tmp_path_factory, monkeypatch, warnings):
    place = tmp_path_factory.mktemp("full")
    _shades(pictures, place)
    (kept,) = (place / "cache").iterdir()
    contents = kept.read_bytes()
    _painted(pictures / "train" / "b ü" / "0.png")
    monkeypatch.setattr(folder.cache.np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
    assert _shades(pictures, place)["train"] == [0, 77, 100, 250, 50, 100]
    assert any("is not cached" in line for line in warnings)
    assert [path.read_bytes() for path in (place / "cache").iterdir()] == [contents]


def test_what_was_kept_and_is_damaged_is_read_anew(pictures, read, tmp_path_factory, warnings):
    place = tmp_path_factory.mktemp("damaged")
    first = _shades(pictures, place)
    (kept,) = (place / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    assert _shades(pictures, place) == first
    assert len(read) == 24
    assert any("cannot be read" in line for line in warnings)


def test_classes_may_move_between_splits_without_reading_anew(classes, read, tmp_path_factory):
    place = tmp_path_factory.mktemp("split")
    settings = {"data_dir": str(classes), "cache_dir": str(place)}
    first, second = (folder.load(SIDE, **settings, split_seed=seed) for seed in (0, 1))
    assert len(read) == 60
    assert first["test"].names != second["test"].names
    for pools in (first, second):
        for pool in pools.values():
            for name, start in zip(pool.names, pool.offsets, strict=True):
                number = int(name.split()[1])
                assert pool.images[start : start + 2, 0, 0, 0].tolist() == [number, 100 + number]


@pytest.mark.parametrize("max_pool_memory", [2048, 0])
def test_all_classes_are_one_pool_whether_split_by_hand_or_not(max_pool_memory, pictures, tmp_path):
    chosen = {"data_dir": str(pictures), "cache_dir": str(tmp_path / "cache"), "max_pool_memory": max_pool_memory}
    of_all = load("folder", 7, True, image_size=SIDE, n_way=2, k_shot=1, n_query=1, **chosen)
    assert of_all.pools.keys() == {"all"}
    assert of_all.pools["all"].names == ("a ü", "b ü", "c ü", "d ü")
    assert len(list(of_all.sampler("all").dataset(count=3))) == 3
    of_all.require_channels(1)
    assert of_all.image_shape == (SIDE, SIDE, 1)


def test_all_classes_need_not_be_as_many_as_splits(pictures):
    of_all = load("folder", 7, True, image_size=SIDE, n_way=2, k_shot=1, n_query=1, data_dir=str(pictures / "train"))
    assert of_all.pools["all"].names == ("a ü", "b ü")
