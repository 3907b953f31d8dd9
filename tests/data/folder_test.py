"""A user's own pictures in folders."""

import numpy as np
import pytest
from PIL import Image

from ml_lstm.data import DataError, folder


@pytest.fixture
def pictures(tmp_path):
    for split, classes in {"train": "ab", "val": "c", "test": "d"}.items():
        for name in classes:
            directory = tmp_path / split / f"{name} ü"
            directory.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (30, 20), (50 * number, 100, 200)).save(directory / f"{number}.png")
    Image.new("L", (8, 8), 77).save(tmp_path / "train" / "a ü" / "1.png")
    return tmp_path


def test_pictures_are_resized_rgb_in_the_order_of_their_names(pictures):
    pools = folder.load(str(pictures), 16)
    assert pools["train"].names == ("a ü", "b ü")
    assert pools["train"].images.shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(pools["train"].images[:, 0, 0, 0], [0, 77, 100, 0, 50, 100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "val").rename(root / "valid"), r"val is no directory"),
        (lambda root: (root / "train" / "empty").mkdir(), r"train/empty has no picture"),
        (lambda root: (root / "test" / "d ü" / "1.png").write_text("no"), r"d ü/1\.png cannot be read"),
        (lambda root: (root / "test" / "d ü").rename(root / "test" / "c ü"), r"'c ü' is in val and in test"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(pictures, damage, message):
    damage(pictures)
    with pytest.raises(DataError, match=message):
        folder.load(str(pictures), 16)


def test_the_directory_must_be_given():
    with pytest.raises(DataError, match="--data_dir"):
        folder.load(None, 16)
