"""What a message of protobuf becomes is bounded before it is read; long lists are read as TensorFlow reads them."""

import time

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from ml_lstm.serving.server.messages import problem_of
from ml_lstm.serving.server.tensors import _from_proto
from tests.serving.limits_test import QUICK


def within(number, contents):
    """A field of bytes."""
    length, size = b"", len(contents)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + contents


TENSOR = b"\x08\x07"
HOSTILE = {
    "inputs": b"".join(within(2, within(1, b"%d" % number)) for number in range(100_000)),
    "strings": within(2, within(2, TENSOR + b"\x42\x00" * 1_000_000)),
    "single numbers": within(2, within(2, TENSOR + b"\x38\x01" * 1_000_000)),
    "dimensions": within(2, within(2, within(2, b"\x12\x00" * 1_000_000))),
    "variants": within(2, within(2, b"\x7a\x00" * 1_000_000)),
    "variants in variants": within(2, within(2, within(15, within(3, b"\x7a\x00" * 1_000_000)))),
    "filters": b"\x1a\x00" * 1_000_000,
    "unknown fields": b"\xf8\x07\x01" * 1_000_000,
    "groups": b"\xfb\x07\xfc\x07" * 500_000,
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE)
def test_messages_of_many_parts_are_told_in_little_time(message):
    started = time.thread_time()
    assert "more than 20000 fields" in problem_of(message, PredictRequest.DESCRIPTOR, 20_000)
    assert time.thread_time() - started < 1


def test_long_names_are_told_and_long_contents_are_not():
    request = PredictRequest()
    request.inputs["a"].string_val.append(b"x" * 10_000_000)
    request.inputs["a"].tensor_content = bytes(10_000_000)
    request.inputs["a"].int_val.extend(range(100_000))
    assert problem_of(request.SerializeToString(), PredictRequest.DESCRIPTOR, 20) is None
    request.model_spec.signature_name = "x" * 100_000
    assert "a name of more than 65536 bytes" in problem_of(request.SerializeToString(), PredictRequest.DESCRIPTOR, 20)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_the_bytes_it_says_what_the_parser_would_find(data):
    """No error; and no more fields than bytes, so that a message within the bound passes."""
    contents = bytearray(QUICK.SerializeToString())
    for _ in range(data.draw(st.integers(0, 5))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    contents = bytes(contents[: data.draw(st.integers(0, len(contents)))])
    for message in (PredictRequest, ReloadConfigRequest):
        assert problem_of(contents, message.DESCRIPTOR, len(contents) + 1) is None
        try:
            parsed = message.FromString(contents)
        except DecodeError:
            continue
        if parsed.ByteSize():
            assert problem_of(contents, message.DESCRIPTOR, 0)


KINDS = [tf.float32, tf.float64, tf.int64, tf.int32, tf.uint8, tf.int8, tf.bool, tf.uint32, tf.uint64]


@pytest.mark.parametrize("kind", [*KINDS, tf.float16, tf.bfloat16], ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [(100_000,), (4, 25_000), (100_003,)])
def test_long_lists_are_read_as_tensorflow_reads_them(kind, shape):
    values = np.random.default_rng(0).integers(0, 2 if kind == tf.bool else 100, 100_000)
    proto = TensorProto(dtype=kind.as_datatype_enum)
    if kind in (tf.float16, tf.bfloat16):
        proto.half_val.extend(values.astype(kind.as_numpy_dtype).view(np.uint16).tolist())
    else:
        field = {"int32": "int", "uint8": "int", "int8": "int", "float32": "float", "float64": "double"}
        getattr(proto, f"{field.get(kind.name, kind.name)}_val").extend(values.tolist())
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    expected, array = tf.make_ndarray(proto), _from_proto("a", proto)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(("values", "shape"), [([1] * 50_000, 40_000), ([300] * 50_000, 50_000)])
def test_long_lists_that_do_not_fit_are_refused(values, shape):
    proto = TensorProto(dtype=tf.uint8.as_datatype_enum, int_val=values)
    proto.tensor_shape.dim.add(size=shape)
    with pytest.raises(Exception, match="a is not a valid tensor"):
        _from_proto("a", proto)
