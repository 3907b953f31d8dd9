"""Validation on meta-train classes: the problem of meta-validation, whatever training does, and without a trace."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ml_lstm import evaluation
from ml_lstm.data import ClassPool, FewShotData
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM
from ml_lstm.training import AverageWeights, Progress, SaveProgress, ScalarBoard, meta_train


class Store:
    """Where nothing is saved."""

    def save(self, number):
        pass


@pytest.fixture(scope="module")
def data():
    """Classes of noise around a pattern each; training is on larger problems of augmented images."""
    random = np.random.default_rng(0)

    def pool(name):
        patterns = random.integers(0, 256, (6, 1, 16, 16, 1))
        noise = random.integers(-60, 60, (6, 8, 16, 16, 1))
        images = np.clip(patterns + noise, 0, 255).astype(np.uint8)
        return ClassPool.from_classes({f"{name} {number}": images[number] for number in range(6)})

    pools = {split: pool(split) for split in ("train", "val", "test")}
    setting = {"n_way": 3, "k_shot": 1, "n_query": 2, "train_n_way": 5, "train_n_query": 4}
    return FewShotData(pools, **setting, augment="affine", validation_episodes=20)


def trained(data, log_dir, momentum=0.0, **chosen):
    """`(method, averages or None, progress)` after two epochs of four meta-steps."""
    keras.utils.set_random_seed(0)
    method = MetaLSTM(conv4(data.image_shape, 5, filters=2, pools=2), data.problem, inner_steps=2)
    method.compile(keras.optimizers.Adam(0.01))
    method.optimizer.build(method.trainable_variables)
    averages = AverageWeights(method, average_weights=momentum) if momentum else None
    progress = Progress()
    callbacks = [ScalarBoard(log_dir, 1, {}), SaveProgress(Store(), Store(), progress, 1, averages=averages)]
    meta_train(method, data, callbacks, 0, averages=averages, episodes=8, validation_interval=4, **chosen)
    return method, averages, progress


@pytest.fixture(scope="module")
def with_and_without(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("boards")
    measured = trained(data, directory / "with", validate_train_classes=True)
    return directory, measured, trained(data, directory / "without")


def test_it_is_the_accuracy_on_the_validation_problem_of_meta_train_classes(with_and_without, data):
    _, (method, _, progress), _ = with_and_without
    accuracies = evaluation.episode_accuracies(method, data.evaluation_sampler("train").dataset(count=20))
    assert [episodes for episodes, _ in progress.train_classes] == [4, 8]
    assert progress.train_classes[-1][1] == pytest.approx(accuracies.mean(), abs=1e-6)
    assert progress.train_classes != progress.validations


@pytest.mark.slow
def test_with_averaged_weights_it_is_that_of_the_averages(data, tmp_path):
    method, _, progress = trained(data, tmp_path, momentum=0.9, validate_train_classes=True)
    # They are what the method has when training ends.
    accuracies = evaluation.episode_accuracies(method, data.evaluation_sampler("train").dataset(count=20))
    assert progress.train_classes[-1][1] == pytest.approx(accuracies.mean(), abs=1e-6)


def test_training_and_meta_validation_are_as_if_it_were_not_there(with_and_without):
    _, (measured, _, progress), (other, _, alone) = with_and_without
    for found, expected in zip(measured.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert progress.validations == alone.validations
    assert alone.train_classes == []


def test_tensorboard_has_it_under_the_tag_of_the_meta_validation(with_and_without):
    directory, (_, _, progress), _ = with_and_without
    for part, recorded in (("validation", progress.validations), ("train_classes", progress.train_classes)):
        events = EventAccumulator(str(directory / "with" / part), size_guidance={"tensors": 0}).Reload()
        accuracies = events.Tensors("epoch_accuracy")
        assert [event.step for event in accuracies] == [episodes for episodes, _ in recorded]
        shown = [float(tf.make_ndarray(event.tensor_proto)) for event in accuracies]
        assert shown == pytest.approx([accuracy for _, accuracy in recorded])
        assert len(events.Tensors("epoch_loss")) == 2
    of_training = EventAccumulator(str(directory / "with" / "train")).Reload().Tags()["tensors"]
    assert not [tag for tag in of_training if "classes" in tag]
    assert sorted(path.name for path in (directory / "without").iterdir()) == ["train", "validation"]
