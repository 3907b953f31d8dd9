"""A small exported model, made once for all tests of serving."""

import keras
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM
from ml_lstm.serving import export_version

SHAPE = (16, 16, 1)


@pytest.fixture(scope="session")
def method():
    """Not trained, but with gates so far open that an answer depends on the support set."""
    keras.utils.set_random_seed(0)
    learner, cell = conv4(SHAPE, 5, filters=4), MetaLSTMCell("activation", (-2, -1))
    return MetaLSTM(learner, cell, hidden_units=2, inner_steps=2, shared_head=True, image_mean=[0.8], image_std=[0.3])


@pytest.fixture(scope="session")
def exported(method, tmp_path_factory):
    """Its version's directory."""
    return export_version(method, SHAPE, str(tmp_path_factory.mktemp("models") / "m"), '{"method": "meta_lstm"}')


@pytest.fixture(scope="session")
def signatures(exported):
    return tf.saved_model.load(str(exported)).signatures


@pytest.fixture(scope="session")
def warm_up(exported):
    """The export's warm-up requests: tensors by input name, by signature."""
    records = tf.data.TFRecordDataset(str(exported / "assets.extra" / "tf_serving_warmup_requests"))
    requests = [PredictionLog.FromString(record.numpy()).predict_log.request for record in records]
    return {
        request.model_spec.signature_name: {
            name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()
        }
        for request in requests
    }
