"""Tests of Omniglot: published splits, the decoded cache, and what a broken data directory says."""

import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ml_lstm.data import cache
from ml_lstm.data.errors import DataError
from ml_lstm.data.resizing import resize
from ml_lstm.data.sources import omniglot

_REPOSITORY = Path(__file__).parents[2]
_TFDS = Path(os.environ.get("ML_LSTM_DATA_DIR") or _REPOSITORY.parent / "shared/data/tfds")

needs_data = pytest.mark.skipif(
    not (_TFDS / "omniglot").is_dir(),
    reason=f"no Omniglot in {_TFDS}: set ML_LSTM_DATA_DIR to a TFDS directory that holds it",
)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    """A cache that already holds the decoded 28 x 28 images."""
    path = tmp_path_factory.mktemp("cache")
    omniglot.load(28, data_dir=str(_TFDS), cache_dir=str(path))
    return path


@pytest.fixture(scope="module")
def vinyals(cache_dir):
    return omniglot.load(28, data_dir=str(_TFDS), cache_dir=str(cache_dir))


@pytest.fixture(scope="module")
def lake(cache_dir):
    return omniglot.load(28, data_dir=str(_TFDS), omniglot_protocol="lake", cache_dir=str(cache_dir))


@pytest.fixture
def copied_data(tmp_path):
    """A writable copy of the parts of the data that are read, to be broken."""
    source = next((_TFDS / "omniglot").glob("[0-9]*"))
    copy = tmp_path / "tfds" / "omniglot" / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*small*"), copy_function=shutil.copyfile)
    copy.chmod(0o755)
    return copy


@pytest.fixture
def no_decoding(monkeypatch):
    def refuse(*args):
        raise AssertionError("decoded although the cache is good")

    monkeypatch.setattr(omniglot, "_decode", refuse)


def cached_characters(path):
    with np.load(path) as arrays:
        return omniglot._Characters(**arrays)


def _error_line(data_dir, tmp_path):
    with pytest.raises(DataError) as caught:
        omniglot.load(28, data_dir=data_dir, cache_dir=str(tmp_path / "cache"))
    message = str(caught.value)
    assert "\n" not in message
    assert "--data_dir" in message
    return message


def _keep_records(shard, count):
    """Cuts a TFRecord file cleanly after `count` records (length, CRC, data, CRC)."""
    data, end = shard.read_bytes(), 0
    for _ in range(count):
        end += 16 + struct.unpack_from("<Q", data, end)[0]
    shard.write_bytes(data[:end])


@needs_data
@pytest.mark.parametrize(
    ("protocol", "published"),
    [
        ("vinyals", {"train": 1028, "val": 172, "test": 423}),
        ("lake", {"train": 883, "val": 81, "test": 659}),
    ],
)
def test_splits_have_the_published_counts_and_share_no_class(protocol, published, request):
    pools = request.getfixturevalue(protocol)
    assert {part: len(pool.names) for part, pool in pools.items()} == published
    assert len({name for pool in pools.values() for name in pool.names}) == 1623
    for pool in pools.values():
        np.testing.assert_array_equal(pool.counts, 20)
        assert pool.images.shape == (20 * len(pool.names), 28, 28, 1)
        assert pool.images.dtype == np.uint8


@needs_data
@pytest.mark.parametrize(("protocol", "published"), [("vinyals", (1200, 423)), ("lake", (964, 659))])
def test_without_a_validation_set_its_classes_are_trained_on(protocol, published, request, cache_dir):
    kept = request.getfixturevalue(protocol)
    given = {"data_dir": str(_TFDS), "cache_dir": str(cache_dir), "omniglot_protocol": protocol}
    pools = omniglot.load(28, omniglot_validation=False, **given)
    assert (len(pools["train"].names), len(pools["test"].names)) == published
    assert pools["train"].names == kept["train"].names + kept["val"].names
    assert not {*pools["train"].names} & {*pools["test"].names}
    assert [pools[part].names for part in ("val", "test")] == [kept[part].names for part in ("val", "test")]
    assert pools["train"].num_classes == 4 * published[0]
    start = pools["train"].offsets[len(kept["train"].names)]
    np.testing.assert_array_equal(pools["train"].images[start:], kept["val"].images)


@needs_data
def test_lake_alphabets_are_in_one_split_each(lake):
    alphabets = {part: {name.split("/")[0] for name in pool.names} for part, pool in lake.items()}
    assert {part: len(names) for part, names in alphabets.items()} == {"train": 25, "val": 5, "test": 20}
    assert len(set.union(*alphabets.values())) == 50
    assert alphabets["val"] == set(omniglot.LAKE_VALIDATION_ALPHABETS)


@needs_data
def test_only_training_classes_count_four_times_by_rotation(vinyals, lake):
    for pools in (vinyals, lake):
        assert {part: pool.num_views for part, pool in pools.items()} == {"train": 4, "val": 1, "test": 1}
    assert vinyals["train"].num_classes == 4112


@needs_data
def test_ink_is_dark_on_white(vinyals):
    images = vinyals["test"].images
    assert np.median(images) == 255
    assert np.median(images.min(axis=(1, 2, 3))) == 0


@needs_data
def test_a_class_holds_the_drawings_that_tfds_gives_that_label(vinyals):
    builder = tfds.builder("omniglot", data_dir=_TFDS)
    labels = builder.info.features["label"].names
    pool = {name: k for part in vinyals.values() for k, name in enumerate(part.names)}
    part_of = {name: part for part in vinyals.values() for name in part.names}
    for example in builder.as_dataset("test").take(50).as_numpy_iterator():
        alphabet, _, number = labels[example["label"]].rpartition("_")
        name = f"{alphabet}/character{int(number) + 1:02d}"
        part, k = part_of[name], pool[name]
        expected = resize(example["image"][np.newaxis, ..., :1], 28, 28)[0, ..., 0].numpy()
        drawings = part.images[part.offsets[k] : part.offsets[k] + part.counts[k], ..., 0]
        assert (drawings == expected).all(axis=(1, 2)).any()


@needs_data
def test_second_load_is_equal_and_decodes_nothing(vinyals, cache_dir, no_decoding):
    again = omniglot.load(28, data_dir=str(_TFDS), cache_dir=str(cache_dir))
    for part, pool in vinyals.items():
        for first, second in zip(pool, again[part], strict=True):
            np.testing.assert_array_equal(first, second)


@needs_data
def test_second_load_does_not_import_tfds(vinyals, cache_dir):
    code = (
        "import sys; from ml_lstm.data.sources import omniglot; "
        f"omniglot.load(28, data_dir={str(_TFDS)!r}, cache_dir={str(cache_dir)!r}); "
        "assert 'tensorflow_datasets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=_REPOSITORY)


@needs_data
@pytest.mark.parametrize("damage", ["truncated", "altered", "empty", "not an archive"])
def test_damaged_cache_is_decoded_anew(damage, vinyals, cache_dir, tmp_path, monkeypatch):
    good = next(cache_dir.glob("*.npz"))
    content = bytearray(good.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "altered":
        content[len(content) // 2] ^= 0xFF
    else:
        content = b"" if damage == "empty" else b"no archive"
    damaged = tmp_path / good.name
    damaged.write_bytes(content)
    characters = cached_characters(good)
    decoded = []

    def decode(directory, image_size):
        decoded.append((directory, image_size))
        return characters

    monkeypatch.setattr(omniglot, "_decode", decode)
    pools = omniglot.load(28, data_dir=str(_TFDS), cache_dir=str(tmp_path))
    assert len(decoded) == 1
    np.testing.assert_array_equal(pools["test"].images, vinyals["test"].images)
    omniglot.load(28, data_dir=str(_TFDS), cache_dir=str(tmp_path))
    assert len(decoded) == 1  # the damaged file has been replaced
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


@needs_data
def test_unwritable_cache_directory_is_no_failure(cache_dir, tmp_path, monkeypatch):
    characters = cached_characters(next(cache_dir.glob("*.npz")))
    monkeypatch.setattr(omniglot, "_decode", lambda directory, image_size: characters)
    (tmp_path / "file").touch()  # a directory cannot be made in a file, not even by root
    assert len(omniglot.load(28, data_dir=str(_TFDS), cache_dir=str(tmp_path / "file" / "cache"))["test"].names) == 423


@needs_data
def test_cache_depends_on_image_size_and_on_the_data_files(copied_data, tmp_path):
    before = cache.file(copied_data, 28, str(tmp_path), 1)
    assert before == cache.file(copied_data, 28, str(tmp_path), 1)
    assert before != cache.file(copied_data, 32, str(tmp_path), 1)
    assert before != cache.file(copied_data, 28, str(tmp_path), 2)
    shard = next(copied_data.glob("*-test.tfrecord*"))
    os.utime(shard, ns=(0, 0))
    assert before != cache.file(copied_data, 28, str(tmp_path), 1)


@pytest.mark.parametrize("content", [None, "omniglot/incomplete.ABC_3.0.0", "omniglot/3.0.0"])
def test_directory_without_prepared_omniglot_is_reported_in_one_line(content, tmp_path):
    data_dir = tmp_path / "data"
    if content is not None:
        (data_dir / content).mkdir(parents=True)
    assert str(data_dir) in _error_line(str(data_dir), tmp_path)
    assert data_dir.exists() == (content is not None)  # nothing is written where the user mistyped


@needs_data
@pytest.mark.parametrize("part", ["dataset_info.json", "features.json", "alphabet.labels.txt"])
def test_cut_or_missing_metadata_is_reported_in_one_line(part, copied_data, tmp_path):
    path = copied_data / part
    path.write_bytes(path.read_bytes()[:20] if part == "dataset_info.json" else b"")
    assert str(copied_data) in _error_line(str(copied_data.parents[1]), tmp_path)
    path.unlink()
    assert str(copied_data.parents[1]) in _error_line(str(copied_data.parents[1]), tmp_path)


@needs_data
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered", "fewer examples"])
def test_half_written_shard_is_reported_in_one_line(damage, copied_data, tmp_path):
    # The training shard is read first, so that these tests are quick.
    shard = next(copied_data.glob("*-train.tfrecord*"))
    if damage == "missing":
        shard.unlink()
    elif damage == "truncated":
        shard.write_bytes(shard.read_bytes()[:1_000_000])
    elif damage == "altered":
        shard.write_bytes(shard.read_bytes()[:1_000_000] + bytes(100) + shard.read_bytes()[1_000_100:])
    else:
        _keep_records(shard, 1_000)
    message = _error_line(str(copied_data.parents[1]), tmp_path)
    assert str(copied_data) in message
    assert "{{" not in message  # no TensorFlow graph nodes
    assert not (tmp_path / "cache").exists()


@needs_data
def test_dataset_that_promises_fewer_examples_is_reported(copied_data, tmp_path):
    for part, count in (("train", 400), ("test", 200)):
        _keep_records(next(copied_data.glob(f"*-{part}.tfrecord*")), count)
    info = copied_data / "dataset_info.json"
    info.write_text(info.read_text().replace('"19280"', '"400"').replace('"13180"', '"200"'))
    message = _error_line(str(copied_data.parents[1]), tmp_path)
    assert re.search(r"600 drawings of \d+ characters, not 20 of each of the 1623", message)


def test_failed_download_names_the_flag_that_helps(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise ConnectionError("Failed to resolve 'github.com'\nand more lines")

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(tfds, "builder", no_network)
    assert "Failed to resolve 'github.com'" in _error_line(None, tmp_path)


@needs_data
def test_tfds_default_directory_is_read_without_a_download(cache_dir, monkeypatch, no_decoding):
    monkeypatch.setenv("TFDS_DATA_DIR", str(_TFDS))
    assert len(omniglot.load(28, cache_dir=str(cache_dir))["val"].names) == 172


def test_unknown_protocol_names_the_choices():
    with pytest.raises(ValueError, match="one of vinyals, lake, got 'snell'"):
        omniglot.load(28, omniglot_protocol="snell")


def test_size_without_pixels_is_refused_with_the_value():
    with pytest.raises(ValueError, match="not 0"):
        omniglot.load(0)


@needs_data
def test_an_alphabet_is_known_of_each_class(lake):
    for pool in lake.values():
        assert pool.alphabets == tuple(name.split("/")[0] for name in pool.names)


@needs_data
def test_drawers_are_the_same_in_two_parts_that_were_written_in_other_orders():
    """The small background sets hold drawings of the background set again; each part's order is its own."""
    directory = next((_TFDS / "omniglot").glob("[0-9]*"))
    background = omniglot._drawings_by_drawer(directory, "train")
    small = omniglot._drawings_by_drawer(directory, "small1")
    assert (len(background), len(small)) == (964, 136)
    for name, drawings in small.items():
        assert len(drawings) == omniglot.DRAWERS
        assert background[name] == drawings


@needs_data
def test_evaluation_drawings_are_the_files_of_659_characters(lake):
    drawings = omniglot.evaluation_drawings(str(_TFDS))
    assert drawings.keys() == {*lake["test"].names}
    name = lake["test"].names[7]
    k = lake["test"].names.index(name)
    pool = lake["test"].images[lake["test"].offsets[k] : lake["test"].offsets[k] + 20]
    shrunk = [resize(tf.io.decode_png(file, 1)[None], 28, 28)[0].numpy() for file in drawings[name]]
    assert {image.tobytes() for image in pool} == {image.tobytes() for image in shrunk}


def test_of_examples_in_another_order_nobody_says_who_drew_them():
    names = ["Korean_0", "Korean_1", "Latin_0"]
    key = "test{}_{:04d}_{:02d}.png"
    examples = [(label, drawer) for label in range(3) for drawer in range(20)]
    examples.sort(key=lambda of: hashlib.md5(key.format(names[of[0]], of[0] + 1, of[1] + 1).encode()).hexdigest())
    labels, drawers = zip(*examples, strict=True)
    assert omniglot.drawers_of(labels, names, "test") == list(drawers)
    assert omniglot.drawers_of(labels, names, "train") is None
    assert omniglot.drawers_of(labels[::-1], names, "test") is None


@needs_data
def test_data_in_another_order_have_no_drawers(copied_data, monkeypatch):
    monkeypatch.setattr(omniglot, "drawers_of", lambda *_: None)
    with pytest.raises(DataError, match="is not in the order from which drawers are derived"):
        omniglot.evaluation_drawings(str(copied_data.parents[1]))
