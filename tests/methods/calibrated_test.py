"""Calibrated answers: temperature and familiarity are what their equations say, and a method's own otherwise."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.learners import conv4, embedding
from ml_lstm.methods import Calibrated, Calibration, PrototypicalNetworks, SimpleShot
from ml_lstm.methods.calibrated import fitted_temperature

SHAPE = (16, 16, 1)
CALIBRATION = Calibration((1, 4), (0.25, 1.0), ((-3.0, -2.0, -1.0), (-6.0, -4.0, -2.0)))


def pictures(number, seed):
    return np.random.default_rng(seed).integers(0, 256, (number, *SHAPE)).astype(np.uint8)


@pytest.fixture(scope="module", params=[PrototypicalNetworks, SimpleShot])
def method(request):
    keras.utils.set_random_seed(0)
    return request.param(embedding(conv4(SHAPE, 5, filters=4)), Problem(SHAPE, 5))


@pytest.mark.parametrize(
    ("labels", "temperature"), [([0, 1, 2], 0.25), ([0, 0, 1, 1, 1, 1, 2, 2, 2], 2**-0.415), ([0] * 9 + [1], 1.0)]
)
def test_logits_are_divided_by_the_temperature_for_so_many_shots(labels, temperature, method):
    """Three a class are log(3) / log(4) = 0.7925 of the way from 1/4 to 1, or 2 to the power of 2 * (0.7925 - 1)."""
    calibrated = Calibrated(method, CALIBRATION)
    support = pictures(len(labels), 0)
    adaptation, plain = (model.adapt(support, np.array(labels)) for model in (calibrated, method))
    expected = method.classify(plain, pictures(3, 1)) / temperature
    np.testing.assert_allclose(calibrated.classify(adaptation, pictures(3, 1)), expected, rtol=1e-3)


@pytest.mark.parametrize(("shots", "scale"), [(1.0, 1.0), (2.0, 1.5), (9.0, 2.0)])
def test_familiarity_is_the_share_of_known_queries_no_less_strange(shots, scale):
    class Told(PrototypicalNetworks):
        def unfamiliarity(self, adaptation, logits):
            return logits[:, 0]

    calibrated = Calibrated(Told(embedding(conv4(SHAPE, 2, filters=2)), Problem(SHAPE, 2)), CALIBRATION)
    adaptation = {"shots": tf.constant([shots])}
    strange = scale * tf.constant([[-3.5], [-2.9], [-2.5], [-1.1], [0.0]])
    found = calibrated.familiarity(adaptation, strange / calibrated._temperature(adaptation))
    np.testing.assert_allclose(found, [1, 3 / 4, 3 / 4, 2 / 4, 1 / 4])


def test_a_method_that_was_not_calibrated_does_not_tell(method):
    adaptation = method.adapt(pictures(2, 0), np.array([0, 1]))
    assert method.familiarity(adaptation, method.classify(adaptation, pictures(2, 1))) is None


def test_unfamiliarity_is_the_energy_of_the_logits_without_the_classes_that_are_not_there():
    logits = np.float32([[1.0, 2.0, -1e9], [0.5, -0.5, -1e9]])
    method = PrototypicalNetworks(embedding(conv4(SHAPE, 3, filters=2)), Problem(SHAPE, 3))
    expected = -np.log(np.exp(logits[:, :2]).sum(axis=1))
    np.testing.assert_allclose(method.unfamiliarity({}, tf.constant(logits)), expected, rtol=1e-6)


def test_that_of_simple_shot_is_the_product_with_the_nearest_mean():
    method = SimpleShot(embedding(conv4(SHAPE, 3, filters=2)), Problem(SHAPE, 3))
    labels = np.array([0, 0, 0, 1, 2])
    adaptation = method.adapt(pictures(5, 0), labels)
    features = method.embed(pictures(4, 1)) - adaptation["centre"]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    products = features @ tf.transpose(adaptation["centroids"])
    found = method.unfamiliarity(adaptation, method.classify(adaptation, pictures(4, 1)))
    np.testing.assert_allclose(found, -np.max(products, axis=1), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 7.0])
def test_the_temperature_that_labels_were_drawn_by_is_found(temperature):
    random = np.random.default_rng(0)
    logits = temperature * random.normal(0, 2, (4000, 5))
    gumbel = random.gumbel(size=logits.shape)
    labels = np.argmax(logits / temperature + gumbel, axis=1)
    assert fitted_temperature(logits, labels) == pytest.approx(temperature, rel=0.1)


def test_it_is_the_same_again_by_its_config(method):
    again = Calibrated.from_config(Calibrated(method, CALIBRATION).get_config())
    assert again.calibration == CALIBRATION
    assert type(again.method) is type(method)
