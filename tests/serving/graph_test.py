"""What an export's graph is made of, and what stays of one that was loaded and let go."""

import collections
import gc
import logging
import shutil

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.framework import ops
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint


def test_what_reads_picture_files_is_there_once(exported):
    (graph,) = SavedModel.FromString((exported / "saved_model.pb").read_bytes()).meta_graphs
    decoders = collections.Counter(
        node.op for function in graph.graph_def.library.function for node in function.node_def if "Decode" in node.op
    )
    assert decoders["DecodeJpeg"] == 4  # whole, or shrunk by 2, 4 or 8


def test_python_keeps_nothing_of_an_export_that_it_has_let_go(exported, caplog):
    def number_of_objects():
        gc.collect()
        return len(gc.get_objects())

    def load():
        signature = tf.saved_model.load(str(exported)).signatures["describe"]
        signature(fields=tf.constant(["image_shape"]))

    load()
    registered, objects = len(ops.gradient_registry.list()), number_of_objects()
    with caplog.at_level(logging.WARNING):
        load()
    assert len(ops.gradient_registry.list()) == registered
    assert number_of_objects() < objects + 2000  # of one that stays there are 50,000
    assert not caplog.records


def test_its_fingerprint_is_of_the_graph_that_is_there(exported, tmp_path):
    again = shutil.copytree(exported, tmp_path / "again")
    write_fingerprint(str(again))
    noted, found = (tf.saved_model.experimental.read_fingerprint(str(path)) for path in (exported, again))
    assert noted.saved_model_checksum == found.saved_model_checksum
