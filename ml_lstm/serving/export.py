"""Writes a version of a model so that a server sees it completely or not at all."""

import errno
import json
import os
import re
import shutil
import socket
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint

from ml_lstm.errors import UserError
from ml_lstm.methods import FewShotClassifier
from ml_lstm.paths import for_tensorflow
from ml_lstm.serving.signatures import ServingModule
from ml_lstm.serving.warm_up import write_warm_up_requests
from ml_lstm.whole_files import bring_to_disk

_LARGEST_VERSION = 2**63 - 1


def export_version(
    method: FewShotClassifier, image_shape: tuple[int, int, int], export_dir: str, model_card: str
) -> Path:
    """Writes `export_dir/<next version>/`: first to a temporary directory beside it, which is then renamed.

    Args:
        method: the trained method.
        image_shape: shape of its training images.
        export_dir: the model's directory, in which TensorFlow Serving looks for versions.
        model_card: JSON for `assets.extra/model_card.json`, and for the signature `describe`.

    Returns:
        The version's directory.

    Raises:
        UserError: if `export_dir` is a file, or already has the largest possible version.
    """
    directory = for_tensorflow(export_dir)
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is a file: choose another --export_dir.")
    directory.mkdir(parents=True, exist_ok=True)
    _next_version(directory)
    _remove_unfinished(directory)
    # A server ignores names that are not numbers.
    temporary = directory / f"{_unfinished_prefix()}{os.getpid()}"
    module = ServingModule(method, image_shape, json.loads(model_card))
    # Not the Keras model: the export would hold a second copy of each Keras variable, and without Python, as in
    # TensorFlow Serving, only that copy would get the weights.
    weights = tf.Module()
    weights.variables_read = module.variables()
    try:
        # An export needs no gradients, and Python never frees the custom gradients of loaded models.
        without_gradients = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(weights, str(temporary), signatures=module.functions, options=without_gradients)
        _forget_custom_gradients(temporary)
        extra = temporary / "assets.extra"
        extra.mkdir()
        (extra / "model_card.json").write_text(model_card)
        write_warm_up_requests(module, extra / "tf_serving_warmup_requests")
        for path in temporary.rglob("*"):
            bring_to_disk(path)
        return _rename_to_next_version(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _forget_custom_gradients(directory):
    """Removes the names of custom gradients from the graph; otherwise loading it warns that they are missing."""
    path = directory / "saved_model.pb"
    model = SavedModel.FromString(path.read_bytes())
    for graph in model.meta_graphs:
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                node.attr.pop("_gradient_op_type", None)
    path.write_bytes(model.SerializeToString(deterministic=True))
    write_fingerprint(str(directory))


def _unfinished_prefix():
    # Includes the machine's name: process numbers of other machines that write here have no meaning on this one.
    return f".writing-{socket.gethostname()}-"


def _remove_unfinished(directory):
    """Removes the directories of exports that were killed on this machine."""
    for path in directory.glob(f"{_unfinished_prefix()}*"):
        process = path.name.removeprefix(_unfinished_prefix())
        is_ours = re.fullmatch("[1-9][0-9]{0,9}", process) and path.is_dir() and not path.is_symlink()
        if is_ours and not _runs_elsewhere(int(process)):
            shutil.rmtree(path, ignore_errors=True)  # another export may remove it at the same time


def _runs_elsewhere(process):
    """Whether a process with this number runs and is not this one."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:  # not a possible process number
        return False
    return process != os.getpid()


def _next_version(directory):
    """One more than the largest version, among the names that TensorFlow Serving accepts as versions."""
    names = [path.name for path in directory.iterdir() if re.fullmatch("[0-9]+", path.name)]
    newest = max((int(name) for name in names if int(name) <= _LARGEST_VERSION), default=0)
    if newest == _LARGEST_VERSION:
        raise UserError(f"{directory / str(newest)} is the largest possible version: choose another --export_dir.")
    return newest + 1


def _rename_to_next_version(temporary, directory):
    while True:
        version = directory / str(_next_version(directory))
        try:
            os.rename(temporary, version)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another export took this number meanwhile
                raise
        else:
            return version
