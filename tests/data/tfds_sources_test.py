"""Sources that come from TensorFlow Datasets with one label a picture: CIFAR-FS, MNIST, and birds on made-up files."""

import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ml_lstm.data import DataError, labelled, load, splits, stored
from ml_lstm.data.sources import cifar_fs, cub, mnist

_TFDS = Path(os.environ.get("ML_LSTM_DATA_DIR") or Path(__file__).parents[3] / "shared/data/tfds")


def needs(builder):
    return pytest.mark.skipif(
        not (_TFDS / builder).is_dir(),
        reason=f"no {builder} in {_TFDS}: set ML_LSTM_DATA_DIR to a TFDS directory that holds it",
    )


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def no_decoding(monkeypatch):
    def refuse(*args):
        raise AssertionError("decoded although the cache is good")

    monkeypatch.setattr(labelled, "_decode", refuse)


@needs("cifar100")
def test_cifar_fs_has_the_published_classes_of_600_pictures(cache_dir):
    pools = cifar_fs.load(32, data_dir=str(_TFDS), cache_dir=cache_dir)
    for part, names in splits.published("cifar_fs").items():
        assert list(pools[part].names) == names
        np.testing.assert_array_equal(pools[part].counts, 600)
        assert pools[part].image_shape == (32, 32, 3)
    builder = tfds.builder("cifar100", data_dir=_TFDS)
    labels = builder.info.features["label"].names
    for part, example in itertools.product(("train", "test"), range(20)):
        example = next(iter(builder.as_dataset(part).skip(example).as_numpy_iterator()))
        pool, number = next(
            (pool, pool.names.index(labels[example["label"]]))
            for pool in pools.values()
            if labels[example["label"]] in pool.names
        )
        of_class = pool.images[pool.offsets[number] :][:600]
        assert (of_class == example["image"]).all(axis=(1, 2, 3)).any()


@needs("cifar100")
def test_a_second_load_decodes_nothing_and_is_the_same(cache_dir, request):
    first = cifar_fs.load(32, data_dir=str(_TFDS), cache_dir=cache_dir)["test"]
    request.getfixturevalue("no_decoding")
    second = cifar_fs.load(32, data_dir=str(_TFDS), cache_dir=cache_dir)["test"]
    np.testing.assert_array_equal(first.images, second.images)


@needs("mnist")
def test_mnist_has_500_classes_by_shuffled_pixels_and_is_tested_on_its_digits(cache_dir):
    pools = mnist.load(28, data_dir=str(_TFDS), cache_dir=cache_dir)
    assert {part: pool.num_classes for part, pool in pools.items()} == {"train": 500, "val": 100, "test": 10}
    assert {part: len(pool.images) for part, pool in pools.items()} == {"train": 60_000, "val": 10_000, "test": 10_000}
    shuffles = np.concatenate([pools["train"].views, pools["val"].views])
    assert len(np.unique(shuffles, axis=0)) == 60
    np.testing.assert_array_equal(np.sort(shuffles, axis=1), np.tile(np.arange(28 * 28), (60, 1)))
    assert pools["test"].views is None
    assert pools["test"].images.mean() > 200  # black on white, as Omniglot
    again = mnist.load(28, data_dir=str(_TFDS), cache_dir=cache_dir)
    np.testing.assert_array_equal(again["train"].views, pools["train"].views)


@needs("mnist")
def test_an_episode_shows_all_pictures_of_a_class_under_one_shuffle(cache_dir):
    data = load("mnist", n_way=3, k_shot=2, n_query=2, data_dir=str(_TFDS), cache_dir=cache_dir)
    pool = data.pools["train"]
    episode = data.sampler("train").sample(tf.constant(5))
    digit_of = np.repeat(range(10), pool.counts)
    digits = {image.tobytes(): digit for digit, image in zip(digit_of, pool.images, strict=True)}
    for label in range(3):
        shown = np.concatenate(
            [images[labels == label] for images, labels in ((episode[0], episode[1]), (episode[2], episode[3]))]
        ).reshape(4, -1)
        found = set()
        for number, shuffle in enumerate(pool.views):
            original = np.empty_like(shown)
            original[:, shuffle] = shown
            if all(image.tobytes() in digits for image in original):
                found.add((number, *(digits[image.tobytes()] for image in original)))
        assert len(found) == 1
        assert len(set(next(iter(found))[1:])) == 1  # one digit


BIRDS = {"train": 400, "test": 200}


def paint(number, box):
    """A photograph of its own size, white where the bird is."""
    image = np.full((20 + number % 7, 30, 3), (number % 200) // 2, np.uint8)
    rows, columns = (
        slice(int(box[axis] * side), int(np.ceil(box[axis + 2] * side))) for axis, side in enumerate(image.shape[:2])
    )
    image[rows, columns] = 255
    return image


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """A data directory with three pictures of each of the 200 species, as TFDS would write the real ones."""
    names = sorted(itertools.chain(*splits.published("cub").values()))
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=names),
            "bbox": tfds.features.BBoxFeature(),
        }
    )
    box = tfds.features.BBox(ymin=0.25, xmin=0.1, ymax=0.75, xmax=0.6)

    def examples(part):
        for number in range(BIRDS[part]):
            yield {"image": paint(number, box), "label": number % 200, "bbox": box}

    root = tmp_path_factory.mktemp("birds")
    tfds.dataset_builders.store_as_tfds_dataset(
        name="caltech_birds2011",
        version="0.1.1",
        features=features,
        split_datasets={part: list(enumerate(examples(part))) for part in BIRDS},
        data_dir=str(root),
    )
    return root


@pytest.fixture
def few_birds(monkeypatch):
    monkeypatch.setattr(cub, "TOTALS", BIRDS)


@pytest.mark.usefixtures("few_birds")
@pytest.mark.parametrize("boxed", [False, True])
def test_birds_are_split_by_species_and_cut_to_their_box_if_asked_to(boxed, birds, tmp_path):
    pools = cub.load(16, data_dir=str(birds), cache_dir=str(tmp_path), cub_bounding_box=boxed)
    assert {part: list(pool.names) for part, pool in pools.items()} == splits.published("cub")
    for pool in pools.values():
        np.testing.assert_array_equal(pool.counts, 3)
        assert pool.image_shape == (16, 16, 3)
        assert (pool.images == 255).all() == boxed


@pytest.mark.usefixtures("few_birds")
def test_what_is_cut_has_a_cache_of_its_own(birds, tmp_path):
    for boxed in (False, True, False):
        cub.load(16, data_dir=str(birds), cache_dir=str(tmp_path), cub_bounding_box=boxed)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (1, 1, 1, 1), (-0.5, 0.2, 1.5, 0.2)])
def test_a_box_without_area_or_beyond_the_picture_leaves_some_pixels(box):
    assert min(cub._inside_box({"image": np.zeros((20, 30, 3)), "bbox": np.array(box)}).shape) >= 1


@pytest.mark.usefixtures("few_birds")
@pytest.mark.slow_unless(boxed=[False])
@pytest.mark.parametrize("boxed", [False, True])
def test_birds_that_are_too_many_for_memory_are_the_same_from_disk(boxed, birds, tmp_path, monkeypatch):
    in_memory = cub.load(16, data_dir=str(birds), cache_dir=str(tmp_path), cub_bounding_box=boxed)
    for _ in range(2):
        on_disk = cub.load(
            16, data_dir=str(birds), cache_dir=str(tmp_path), max_pool_memory=0.001, cub_bounding_box=boxed
        )
        for part, pool in in_memory.items():
            assert isinstance(on_disk[part].images, stored.StoredImages)
            assert on_disk[part].names == pool.names
            np.testing.assert_array_equal(on_disk[part].counts, pool.counts)
            np.testing.assert_array_equal(on_disk[part].images[:], pool.images)
        monkeypatch.setattr(stored, "_write", None)  # the second time they are there


@needs("cifar100")
def test_the_flag_decides_what_is_read_from_disk(cache_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "stored", lambda directory, examples, shape: pytest.fail(f"on disk: {shape}"))
    settings = {"n_way": 5, "k_shot": 1, "data_dir": str(_TFDS), "image_size": 32}
    load("cifar_fs", **settings, cache_dir=cache_dir, max_pool_memory=176)  # 60,000 x 32 x 32 x 3 bytes
    with pytest.raises(pytest.fail.Exception, match=r"on disk: \(32, 32, 3\)"):
        load("cifar_fs", **settings, cache_dir=cache_dir, max_pool_memory=175)


@pytest.mark.parametrize("max_pool_memory", [0, 2048])
def test_birds_that_are_too_few_are_reported_in_one_line(max_pool_memory, birds, tmp_path):
    with pytest.raises(DataError, match=r"CUB-200-2011 in .* \(train has 400 images of 200 classes, not 5994\)"):
        cub.load(16, data_dir=str(birds), cache_dir=str(tmp_path), max_pool_memory=max_pool_memory)


def test_a_data_set_that_is_not_there_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(DataError, match=r"No prepared CIFAR-100 in .*tfds build cifar100 --data_dir="):
        cifar_fs.load(32, data_dir=str(tmp_path), cache_dir=str(tmp_path))


@pytest.mark.usefixtures("few_birds")
def test_other_class_names_are_reported(birds, tmp_path):
    copy = tmp_path / "tfds" / "caltech_birds2011" / "0.1.1"
    shutil.copytree(birds / "caltech_birds2011" / "0.1.1", copy)
    labels = copy / "label.labels.txt"
    labels.write_text(labels.read_text().replace("Albatross", "Goose"))
    with pytest.raises(DataError, match="does not hold the names of the 200 classes"):
        cub.load(16, data_dir=str(tmp_path / "tfds"), cache_dir=str(tmp_path))
