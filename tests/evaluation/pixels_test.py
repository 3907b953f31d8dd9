"""What pixels alone are right about, and when `train` says so."""

import numpy as np
import pytest

import ml_lstm
from ml_lstm import train
from ml_lstm.evaluation import pixel_accuracy
from ml_lstm.training import Progress


@pytest.fixture(scope="module")
def data():
    return ml_lstm.data.load(
        "glyphs", image_size=16, n_way=3, k_shot=2, n_query=2, train_n_way=5, validation_episodes=9
    )


def nearest(episode):
    """Share of an episode's queries whose nearest support image, by the angle between pixels, is of their class."""
    support, query = (
        images.numpy().reshape(len(images), -1) / 255.0 for images in (episode.support_images, episode.query_images)
    )
    cosines = query @ support.T / np.linalg.norm(query, axis=1)[:, None] / np.linalg.norm(support, axis=1)
    found = episode.support_labels.numpy()[cosines.argmax(axis=1)]
    return np.mean(found == episode.query_labels.numpy())


def test_it_is_the_accuracy_of_the_nearest_support_image_in_meta_validation(data):
    assert pixel_accuracy(data) == pytest.approx(np.mean([nearest(episode) for episode in data.validation]))


@pytest.mark.parametrize(("better", "is_said"), [(-0.1, True), (0, True), (0.01, False)])
def test_train_says_that_it_was_in_vain_if_pixels_do_as_well(data, better, is_said, capsys):
    pixels = pixel_accuracy(data)
    progress = Progress()
    progress.validations = [(10, 0.1), (20, pixels + better), (30, 0.1)]
    train._say_if_in_vain(progress, data)
    said = capsys.readouterr().out
    assert said.startswith("The nearest support image by pixels") == is_said
    assert (f"{100 * pixels:.1f} %" in said) == is_said
