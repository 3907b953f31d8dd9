"""Pictures that are read from disk as they are needed are the same pictures."""

import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from PIL import Image

from ml_lstm.data import BatchSampler, DataError, EpisodeSampler, load, stored
from ml_lstm.data.check import Setting, problems
from ml_lstm.data.pools import quarter_turns
from ml_lstm.data.sources import folder
from ml_lstm.plots.contact_sheet import contact_sheet

SIDE = 16
SPLITS = ("train", "val", "test")


@pytest.fixture
def pictures(tmp_path):
    """Twelve classes of three to five pictures; one more file is none."""
    random = np.random.default_rng(0)
    root = tmp_path / "pictures"
    for number in range(12):
        directory = root / f"class {number:02}"
        directory.mkdir(parents=True)
        for index in range(3 + number % 3):
            picture = random.integers(0, 256, (20, 24, 3)).astype(np.uint8)
            Image.fromarray(picture).save(directory / f"{index}.png")
    (root / "class 04" / "1 no picture.png").write_text("no picture")
    return root


@pytest.fixture
def from_disk(pictures, tmp_path):
    def pools(**settings):
        return folder.load(
            SIDE, data_dir=str(pictures), max_pool_memory=0.001, cache_dir=str(tmp_path / "cache"), **settings
        )

    return pools


@pytest.fixture(autouse=True)
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: found.append(text % values))
    return found


def test_they_have_the_same_names_counts_and_pixels(pictures, from_disk):
    in_memory, on_disk = folder.load(SIDE, data_dir=str(pictures)), from_disk()
    for split in SPLITS:
        assert isinstance(on_disk[split].images, stored.StoredImages)
        assert on_disk[split].names == in_memory[split].names
        np.testing.assert_array_equal(on_disk[split].counts, in_memory[split].counts)
        np.testing.assert_array_equal(on_disk[split].offsets, in_memory[split].offsets)
        assert on_disk[split].images.shape == in_memory[split].images.shape
        assert on_disk[split].images.nbytes == in_memory[split].images.nbytes
        np.testing.assert_array_equal(on_disk[split].images[:], in_memory[split].images)
        np.testing.assert_array_equal(on_disk[split].images[-1], in_memory[split].images[-1])


@pytest.mark.parametrize("augment", ["none", "photo"])
def test_episodes_and_batches_are_the_same_bit_for_bit(augment, pictures, from_disk):
    in_memory, on_disk = folder.load(SIDE, data_dir=str(pictures))["train"], from_disk()["train"]
    for sampler, setting in (
        (EpisodeSampler, {"n_way": 3, "k_shot": 1, "n_query": 2}),
        (BatchSampler, {"batch_size": 9}),
    ):
        first, second = (
            list(sampler(pool, augment=augment, **setting).dataset(count=6)) for pool in (in_memory, on_disk)
        )
        for episode, again in zip(first, second, strict=True):
            for tensor, other in zip(episode, again, strict=True):
                np.testing.assert_array_equal(tensor, other)
                assert tensor.shape == other.shape


def test_views_of_them_are_the_same(pictures, from_disk):
    in_memory, on_disk = (
        EpisodeSampler(pools["train"]._replace(views=quarter_turns(SIDE)), 9, 1, 2).sample(tf.constant(3))
        for pools in (folder.load(SIDE, data_dir=str(pictures)), from_disk())
    )
    for tensor, other in zip(in_memory, on_disk, strict=True):
        np.testing.assert_array_equal(tensor, other)


def test_a_place_that_cannot_be_written_to_is_named(pictures, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match=r"cannot be written to .*file/folder-.*--cache_dir, or raise --max_pool_memory"
    ):
        folder.load(SIDE, data_dir=str(pictures), max_pool_memory=0, cache_dir=str(tmp_path / "file"))


def test_shapes_are_known_before_anything_is_read(from_disk):
    element = EpisodeSampler(from_disk()["train"], 3, 1, 2).dataset().element_spec
    assert element.query_images.shape == (6, SIDE, SIDE, 3)


def test_they_are_written_once(from_disk, monkeypatch, warnings):
    first = from_disk()
    assert sum("--max_pool_memory" in warning for warning in warnings) == 1
    monkeypatch.setattr(stored, "_write", None)
    np.testing.assert_array_equal(from_disk()["val"].images[:], first["val"].images[:])


def test_a_changed_picture_and_another_size_are_written_anew(pictures, from_disk, tmp_path):
    before = from_disk()
    Image.new("RGB", (9, 9), (1, 2, 3)).save(pictures / "class 00" / "0.png")
    after = from_disk()
    assert any((before[split].images[:] != after[split].images[:]).any() for split in SPLITS)
    folder.load(20, data_dir=str(pictures), max_pool_memory=0.001, cache_dir=str(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_what_was_left_half_written_is_written_again(pictures, from_disk, monkeypatch):
    whole = folder.load(SIDE, data_dir=str(pictures))
    read, seen = folder._read, []

    def interrupted(path, image_size):
        seen.append(path)
        if len(seen) > 20:
            raise KeyboardInterrupt
        return read(path, image_size)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(folder, "_read", interrupted)
        from_disk()
    np.testing.assert_array_equal(from_disk()["test"].images[:], whole["test"].images)


@pytest.mark.parametrize("damaged", ["index.json", "*array_record*"])
@pytest.mark.parametrize("size", [0, 60])
def test_what_is_damaged_is_written_again(damaged, size, pictures, from_disk, tmp_path, warnings):
    from_disk()
    path = next((tmp_path / "cache").rglob(damaged))
    path.write_bytes(path.read_bytes()[:size])
    whole = folder.load(SIDE, data_dir=str(pictures))
    np.testing.assert_array_equal(from_disk()["train"].images[:], whole["train"].images)
    assert any("cannot be read" in warning and "again" in warning for warning in warnings)


def test_files_that_are_no_pictures_are_reported_each_time(from_disk, warnings):
    for _ in range(2):
        from_disk()
        assert "class 04/1 no picture.png" in warnings.pop()
        warnings.clear()
    with pytest.raises(DataError, match=r"class 04/1 no picture\.png"):
        from_disk(strict=True)


def test_a_class_without_a_picture_is_refused(pictures, from_disk):
    for path in (pictures / "class 07").iterdir():
        path.write_text("no picture")
    with pytest.raises(DataError, match="class 07 has no readable image"):
        from_disk()


def test_no_more_than_the_bound_stays_in_memory(from_disk, monkeypatch):
    monkeypatch.setattr(stored, "CACHE_BYTES", 5 * SIDE * SIDE * 3)
    images = from_disk()["train"].images
    expected, random = images[:], np.random.default_rng(0)
    for _ in range(30):
        numbers = random.integers(0, len(images), (2, 4))
        np.testing.assert_array_equal(images[numbers], expected[numbers])
        assert len(images._store._cached) <= 5
    assert images[np.zeros((0,), int)].shape == (0, SIDE, SIDE, 3)


def test_the_latest_read_are_those_that_stay(from_disk, monkeypatch):
    monkeypatch.setattr(stored, "CACHE_BYTES", 3 * SIDE * SIDE * 3)
    store = from_disk()["train"].images._store
    for number in (0, 1, 2, 0, 3):
        store.read(np.array([number]))
    assert set(store._cached) == {2, 0, 3}


def test_colours_become_grey_as_they_are_read(pictures, from_disk):
    in_memory, on_disk = (
        pools["test"].with_channels(1) for pools in (folder.load(SIDE, data_dir=str(pictures)), from_disk())
    )
    assert on_disk.image_shape == (SIDE, SIDE, 1)
    np.testing.assert_array_equal(on_disk.images[:], in_memory.images)


def test_dark_becomes_light_as_they_are_read(from_disk):
    pools = from_disk()
    np.testing.assert_array_equal(pools["test"].inverted().images[:], 255 - pools["test"].images[:])


def test_some_classes_of_them_are_the_same_and_stay_on_disk(pictures, from_disk):
    in_memory, on_disk = (
        pools["test"].with_channels(1).some(1, seed=0)
        for pools in (folder.load(SIDE, data_dir=str(pictures)), from_disk())
    )
    assert isinstance(on_disk.images, stored.StoredImages)
    assert on_disk.names == in_memory.names
    np.testing.assert_array_equal(on_disk.images[:], in_memory.images)


def test_what_looks_at_data_sets_looks_at_these_too(from_disk):
    pools = from_disk()
    assert not list(problems(pools, dict.fromkeys(pools, Setting(2, 1, 2))))
    assert contact_sheet(pools, cell=16).ndim == 3


def test_training_reads_them(pictures, tmp_path):
    settings = {"n_way": 2, "k_shot": 1, "n_query": 1, "image_size": SIDE, "data_dir": str(pictures)}
    data, in_memory = (load("folder", **settings, cache_dir=str(tmp_path), max_pool_memory=mib) for mib in (0.001, 100))
    assert data.image_statistics() == in_memory.image_statistics()
    for batch, other in zip(data.train.batch(3).take(2), in_memory.train.batch(3).take(2), strict=True):
        tf.debugging.assert_equal(batch.support_images, other.support_images)
