"""Warm-up requests, which TensorFlow Serving runs before it serves a version, so that no caller has to wait."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from ml_lstm.serving.signatures import ServingModule


def write_warm_up_requests(module: ServingModule, path: Path) -> None:
    """Writes a request for each signature, including `serving_default`, which has its own nodes.

    Args:
        module: the module to warm up.
        path: `<version>/assets.extra/tf_serving_warmup_requests`, where TensorFlow Serving looks for it; a
            TFRecord file of `PredictionLog` protos.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, inputs in _requests(module).items():
            log = PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
            writer.write(log.SerializeToString())


def _requests(module):
    """Tensors by name, by signature: two classes with one example each, which every classifier accepts."""
    pictures = np.random.default_rng(0).integers(0, 256, (3, *module.image_shape)).astype(np.uint8)
    files = tf.stack([tf.io.encode_png(picture) for picture in pictures])
    labels, requests = tf.constant(["a", "b"]), {}
    # Of the images; that of their files is the same.
    adaptation = module.functions["adapt"](support_images=tf.constant(pictures[:2]), support_labels=labels)
    for suffix, images in (("", tf.constant(pictures)), ("_encoded", files)):
        support = {"support_images": images[:2], "support_labels": labels}
        queries = {"query_images": images[2:]}
        requests["adapt" + suffix] = support
        if "explain" + suffix in module.functions:
            requests["explain" + suffix] = support
        requests["predict" + suffix] = adaptation | queries
        requests["adapt_and_predict" + suffix] = support | queries
    return requests | {
        "serving_default": requests["adapt_and_predict"],
        "check_encoded": {"query_images": files},
        "describe": {"fields": tf.constant(["image_shape"])},
    }
