"""What the baselines promise beyond the interface of all methods."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.learners import conv4, embedding
from ml_lstm.methods import FineTuning, NearestNeighbour, PixelNearestNeighbour, SimpleShot
from ml_lstm.serving import export_version

WAY, SHAPE = 5, (16, 16, 1)
PROBLEM = Problem(SHAPE, WAY, 30, [0.5], [0.3])


def new_method(kind):
    keras.utils.set_random_seed(3)
    if kind is PixelNearestNeighbour:
        return kind(PROBLEM)
    return kind(embedding(conv4(SHAPE, WAY, filters=8)), PROBLEM)


@pytest.fixture(scope="module", params=[FineTuning, NearestNeighbour, PixelNearestNeighbour, SimpleShot])
def method(request):
    return new_method(request.param)


def pictures(count, seed=0):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype("uint8"))


SUPPORT, LABELS, QUERIES = pictures(WAY), tf.range(WAY), pictures(9, seed=1)


def probabilities(method, support=SUPPORT, labels=LABELS, queries=QUERIES, query_statistics="support"):
    return tf.nn.softmax(method.classify(method.adapt(support, labels), queries, query_statistics)).numpy()


def test_renaming_classes_renames_the_answers(method):
    new_name = np.array([2, 0, 3, 1, 4])
    renamed = probabilities(method, labels=tf.constant(new_name, tf.int32))
    np.testing.assert_allclose(renamed[:, new_name], probabilities(method), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [FineTuning, NearestNeighbour, SimpleShot])
def test_transductive_batch_norm_makes_an_answer_depend_on_other_queries(kind):
    method = new_method(kind)
    together = probabilities(method, query_statistics="queries")
    alone = probabilities(method, queries=QUERIES[:3], query_statistics="queries")
    assert np.abs(together[:3] - alone).max() > 1e-4


@pytest.mark.slow_unless(method=[NearestNeighbour])
def test_an_export_gives_the_methods_answers_whatever_the_number_of_shots(method, tmp_path):
    signatures = tf.saved_model.load(str(export_version(method, SHAPE, str(tmp_path), "{}"))).signatures
    for labels in ([0, 1, 0, 2], [0, 1, 1, 2, 3, 4, 1]):
        support, names = pictures(len(labels)), tf.constant([f"class {label}" for label in labels])
        expected = probabilities(method, support, tf.constant(labels))[:, : max(labels) + 1]
        adaptation = signatures["adapt"](support_images=support, support_labels=names)
        answers = (
            signatures["serving_default"](support_images=support, support_labels=names, query_images=QUERIES),
            signatures["predict"](query_images=QUERIES, **adaptation),
        )
        for answer in answers:
            np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
            assert [name.decode() for name in answer["predictions"].numpy()] == [
                f"class {index}" for index in expected.argmax(1)
            ]


@pytest.mark.parametrize("kind", [NearestNeighbour, SimpleShot])
def test_an_export_holds_no_head_of_the_training_classes(kind, tmp_path):
    method = new_method(kind)
    version = export_version(method, SHAPE, str(tmp_path), "{}")
    reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    shapes = [tuple(shape) for shape in reader.get_variable_to_shape_map().values()]
    assert tuple(method.learner.trainable_variables[0].shape) in shapes
    assert tuple(method.joint_head.kernel.shape) not in shapes
