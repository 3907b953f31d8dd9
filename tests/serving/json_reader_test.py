"""Large bodies of JSON are read beside the server as small ones are within it, and hold up nobody."""

import asyncio
import json
import os
import signal
import time

import ml_dtypes
import numpy as np
import orjson
import pytest
import tensorflow as tf

from ml_lstm.serving.refusals import Refusal
from ml_lstm.serving.server import json_tensors
from ml_lstm.serving.server.json_reader import JsonReader
from ml_lstm.serving.server.json_tensors import Input

DTYPES = ("uint8", "int32", "int64", "uint64", "float16", "bfloat16", "float32", "float64", "bool")
SIGNATURES = {dtype: {"values": Input(dtype, 2)} for dtype in DTYPES}
SIGNATURES |= {"": {"values": Input("float32", 1), "names": Input("string", 1)}, "none": {}}


def asked(signature_name="", **inputs):
    return json.dumps({"signature_name": signature_name, "inputs": inputs}).encode()


BODIES = {dtype: asked(dtype, values=[[0, 1], [1, 0]]) for dtype in DTYPES if dtype != "bool"}
BODIES |= {
    "bool": asked("bool", values=[[True, False]]),
    "strings": asked(values=[1.5], names=["a", "", "ü\0", {"b64": "/w=="}]),
    "empty": asked(values=[], names=[]),
    "rows": b'{"instances": [{"values": 1, "names": "a"}, {"values": 2, "names": "b"}]}',
    "a name twice": b'{"inputs": {"values": [1], "values": [2], "names": ["a"]}}',
    "another signature": asked("other", values=[1]),
    "rounding": asked(values=[0.1, 1e-45, 16777217.0, 1.00000005960464477, -0.0, 1e38], names=[]),
    "beyond 64 bits": asked(values=[10**30, 2**64], names=[]),
    "NaN": b'{"inputs": {"values": [NaN], "names": []}}',
    "too large a number": asked(values=[1e300], names=[]),
    "ragged": asked(values=[[1], [2, 3]], names=[]),
    "depths that differ": asked(values=[1, [2]], names=[]),
    "a number in place of a name": asked(values=[1], names=[1]),
    "no base64": asked(values=[1], names=[{"b64": "?"}]),
    "an unknown name": asked(values=[1], names=["a"], more=[1]),
    "a surrogate": b'{"inputs": {"values": [1], "names": ["\\ud800"]}}',
    "no UTF-8": b'{"inputs": "\xff"}',
    "nothing": b"",
    "deep": b"[" * 5000 + b"]" * 5000,
}


def outcome(read):
    """What was read, or why it was not."""
    try:
        found = read()
    except Refusal as refusal:
        return refusal.code, refusal.message
    inputs = None
    if found.inputs is not None:
        inputs = {
            name: (array.dtype, array.shape, array.tolist() if array.dtype == object else array.tobytes())
            for name, array in found.inputs.items()
        }
    return found.signature_name, found.rows, inputs


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def reader(loop):
    reader = JsonReader()
    yield reader
    reader.close()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_it_reads_as_the_server_does(body, loop, reader):
    there = outcome(lambda: loop.run(reader.read(body, SIGNATURES)))
    assert there == outcome(lambda: json_tensors.read(body, SIGNATURES))


def test_a_name_twice_is_the_last_one():
    assert json_tensors.read(BODIES["a name twice"], SIGNATURES).inputs["values"].tolist() == [2]


HOSTILE = {
    "lists": b'{"inputs": [' + b"[]," * 5_000_000 + b"[]]}",
    "digits": b'{"inputs": {"names": [], "values": [' + b"1," * 3_900_000 + b"1]}}",
    "names": b'{"inputs": {' + b",".join(b'"%d":1' % number for number in range(1_200_000)) + b"}}",
    "strings": b'{"inputs": {"values": [], "names": [' + b'"",' * 3_900_000 + b'""]}}',
    "spaces": b" " * 2**24,
    "one number": b'{"inputs": ' + b"1" * 2**24 + b"}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_the_loop_goes_on_while_it_reads(body, loop, reader):
    async def longest_pause():
        reading = asyncio.create_task(reader.read(body, SIGNATURES))
        longest, started = 0, time.monotonic()
        while not reading.done():
            before = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - before)
        await asyncio.wait([reading])
        reading.exception()
        return longest, time.monotonic() - started

    assert not reader.is_small(body)
    longest, whole = loop.run(longest_pause())
    assert longest < max(0.2, whole / 3)


def test_what_is_read_for_nobody_is_given_up_and_the_next_body_is_read(loop, reader):
    async def leave():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read(HOSTILE["digits"], SIGNATURES)
        started = time.monotonic()
        return await reader.read(BODIES["strings"], SIGNATURES), time.monotonic() - started

    read, _ = loop.run(leave())
    assert read.inputs["names"].tolist() == [b"a", b"", "ü\0".encode(), b"\xff"]


def test_another_process_is_started_for_one_that_was_killed(loop, reader):
    loop.run(reader.read(BODIES["strings"], SIGNATURES))
    os.kill(reader._process.pid, signal.SIGKILL)
    with pytest.raises((OSError, EOFError)):
        loop.run(reader.read(BODIES["strings"], SIGNATURES))
    assert loop.run(reader.read(BODIES["strings"], SIGNATURES)).inputs["values"].tolist() == [1.5]


@pytest.mark.parametrize("shape", [(0,), (5,), (70_000,), (7, 10_000), (3, 2, 40_000), (70_000, 0)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_large_answer_is_written_in_steps_as_it_is_at_once(shape, dtype):
    array = np.random.default_rng(0).normal(size=shape).astype(dtype)
    outputs = {"a": array, "b": array}
    expected = orjson.dumps({"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    assert json_tensors.response_to_json(outputs, rows=False) == expected
    if len(array):
        rows = [dict(zip("ab", row, strict=True)) for row in zip(array, array, strict=True)]
        expected = orjson.dumps({"predictions": rows}, option=orjson.OPT_SERIALIZE_NUMPY)
        assert json_tensors.response_to_json(outputs, rows=True) == expected


def test_types_are_those_of_tensorflow():
    for dtype in (tf.bfloat16, tf.float16, tf.uint8, tf.bool):
        assert json_tensors.dtype_named(dtype.name) == dtype.as_numpy_dtype
    assert json_tensors.dtype_named("bfloat16") == ml_dtypes.bfloat16
