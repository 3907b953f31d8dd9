"""Converts tensors from TensorFlow's protos."""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

from ml_lstm.serving.refusals import invalid, shortened
from ml_lstm.serving.server.json_tensors import require_names

# Memory of a string besides its characters: an object in Python, another in TensorFlow.
_STRING_BYTES = 64
_MOST_DIMENSIONS = 32

# Numbers in a proto's list that are read before another thread may run.
_READ_AT_ONCE = 2**15
_HALVES = (tf.float16, tf.bfloat16)
_FIELDS = (
    {
        tf.float32: "float_val",
        tf.float64: "double_val",
        tf.int64: "int64_val",
        tf.bool: "bool_val",
        tf.uint32: "uint32_val",
        tf.uint64: "uint64_val",
    }
    | dict.fromkeys(_HALVES, "half_val")
    | dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint16, tf.uint8), "int_val")
)
# Of the other types, TensorFlow's Python code reads some and fails with a KeyError for others; no model here uses them.
_READ = {tf.string, tf.complex64, tf.complex128, *_FIELDS}


def inputs_from_protos(
    protos: Mapping[str, TensorProto], signature: SignatureDef, max_bytes: int
) -> dict[str, np.ndarray]:
    """The tensors of a request.

    Args:
        protos: by name.
        signature: the requested signature.
        max_bytes: memory limit for all tensors; a proto of a few bytes can declare any size.

    Returns:
        Tensors by name.

    Raises:
        Refusal: if the names are not those of the signature, or a tensor is invalid or too large. Then no memory has
            been allocated for the tensors.
    """
    require_names(protos.keys(), signature.inputs.keys())
    left = max_bytes
    for name, proto in protos.items():
        try:
            size = _bytes_taken(proto)
        except ValueError as error:
            raise _no_tensor(name, error) from None
        if size > left:
            raise invalid(
                f"{name} is too large: the tensors of a request may take {max_bytes} bytes. Send image files, or the "
                "queries in parts."
            )
        left -= size
    return {name: _from_proto(name, proto) for name, proto in protos.items()}


def _bytes_taken(proto):
    """The memory that a proto's tensor takes."""
    try:
        dtype = tf.as_dtype(proto.dtype)
    except TypeError:
        raise ValueError(f"its type has the number {proto.dtype}, which does not exist") from None
    if dtype not in _READ:
        raise ValueError(f"its type is {dtype.name}, which is not supported")
    sizes = [size.size for size in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(sizes, default=0) < 0:
        raise ValueError("its shape is not known")
    if len(sizes) > _MOST_DIMENSIONS or max(sizes, default=0) >= 2**31:
        raise ValueError("its shape is not valid")
    count = math.prod(sizes)
    if dtype != tf.string:
        return count * dtype.size
    # If fewer values are given, the last one fills the rest.
    lengths = [len(value) for value in proto.string_val] or [0]
    return count * _STRING_BYTES + sum(lengths) + max(count - len(lengths), 0) * lengths[-1]


def _from_proto(name, proto):
    try:
        if proto.dtype == tf.string.as_datatype_enum and not (proto.string_val or proto.tensor_content):
            return np.full([size.size for size in proto.tensor_shape.dim], b"", object)  # TensorFlow would return str
        return _numbers(proto) if _is_long(proto) else tf.make_ndarray(proto)
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_tensor(name, error) from None


def _is_long(proto):
    field = _FIELDS.get(tf.as_dtype(proto.dtype))
    return field is not None and not proto.tensor_content and len(getattr(proto, field)) > _READ_AT_ONCE


def _numbers(proto):
    """`tf.make_ndarray` of numbers in a list, in steps, because other threads cannot run during a step."""
    dtype = tf.as_dtype(proto.dtype)
    numbers, kind = getattr(proto, _FIELDS[dtype]), np.uint16 if dtype in _HALVES else dtype.as_numpy_dtype
    steps = range(0, len(numbers), _READ_AT_ONCE)
    array = np.concatenate([np.fromiter(numbers[start : start + _READ_AT_ONCE], kind) for start in steps])
    shape = [size.size for size in proto.tensor_shape.dim]
    # If fewer values are given, the last one fills the rest.
    array = np.pad(array, (0, max(math.prod(shape) - array.size, 0)), "edge")
    return array.view(dtype.as_numpy_dtype).reshape(shape)


def _no_tensor(name, error):
    return invalid(f"{name} is not a valid tensor: {shortened(' '.join(str(error).split()))}.")
