"""TensorFlow Datasets is an extra: what needs it says in one line what to install, the rest works without."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import forks

REPOSITORY = Path(__file__).parents[2]
LINE = "tensorflow_datasets is not installed, which is needed to read these data: pip install 'ml_lstm[data]'."


@pytest.fixture
def without(tmp_path):
    """`without(*commands)`: the status of each, and all that they said on stdout and on stderr."""

    def run(*commands):
        absent = ["tensorflow_datasets", "importlib_resources"]
        ended = [forks.run(f"ml_lstm.{name}", *rest, cwd=tmp_path, absent=absent) for name, *rest in commands]
        texts = ("".join(getattr(one, stream) for one in ended) for stream in ("stdout", "stderr"))
        return [one.returncode for one in ended], *texts

    return run


SMALL = ("--method=prototypical", "--image_size=16", "--filters=4", "--n_way=2", "--k_shot=1", "--n_query=1")
SMALL += ("--episodes=8", "--validation_interval=8", "--validation_episodes=2")


@pytest.fixture
def folder(tmp_path):
    """Nine classes of three images."""
    random = np.random.default_rng(0)
    for number in range(9):
        place = tmp_path / "images" / str(number)
        place.mkdir(parents=True)
        for index in range(3):
            Image.fromarray(random.integers(0, 256, (20, 20, 3)).astype(np.uint8)).save(place / f"{index}.png")
    return "--dataset=folder", f"--data_dir={tmp_path / 'images'}", "--split_fractions=0.4,0.3,0.3"


@pytest.mark.slow
def test_glyphs_folders_exports_and_servers_do_without(without, folder):
    statuses, out, err = without(
        ("data", *folder, "--n_way=2", "--k_shot=1", "--n_query=1"),
        ("train", *SMALL, "--run_dir=run"),
        ("evaluate", "--run_dir=run", "--episodes=2"),
        ("export", "--run_dir=run", "--export_dir=models/m"),
        ("adapt", "--saved_model=models/m/1", "--support=images", "--query=images/0"),
        ("serve", "--model_base_path=nowhere"),  # which loads all of the server
    )
    assert statuses == [0, 0, 0, 0, 0, 1], err
    assert "nowhere has no version that can be loaded" in err.splitlines()[-1]
    assert "datasets" not in out + err


def test_data_that_need_it_say_so_and_leave_all_as_it_is(without, folder, tmp_path):
    sets = ("omniglot", "cifar_fs", "mnist", "cub")
    larger_than_memory = (*folder, "--max_pool_memory=0.001", f"--cache_dir={tmp_path / 'cache'}")
    statuses, _, err = without(
        *(("train", f"--dataset={name}", "--run_dir=run") for name in sets),
        ("data", *larger_than_memory, "--n_way=2", "--k_shot=1", "--n_query=1"),
    )
    assert statuses == [1] * 5, err
    said = [line for line in err.splitlines() if line.startswith("ml_lstm.")]
    assert said == [f"ml_lstm.train: {LINE}"] * 4 + [f"ml_lstm.data: {LINE}"]
    assert {path.name for path in tmp_path.iterdir()} == {"images"}
