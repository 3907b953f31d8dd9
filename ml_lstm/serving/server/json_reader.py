"""A process beside the server that reads large bodies of JSON.

Python reads JSON in one go, in which no other thread of the process does anything: a few megabytes of digits are
seconds. What takes long is read here, one body after the other, while the server answers others.
"""

import asyncio
import gc
import itertools
import math
import struct
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np
import orjson

from ml_lstm.serving.refusals import Refusal, invalid
from ml_lstm.serving.server import json_tensors, memory
from ml_lstm.serving.server.json_tensors import Body, Input

Signatures = Mapping[str, Mapping[str, Input]]

# Reading less is a matter of some milliseconds, as long as it takes to have it read elsewhere: an adaptation of 33,000
# parameters, say.
_SMALL_BYTES = 2**20
_SMALL_PARTS = 50_000
_SIZES = struct.Struct("<QQ")


class JsonReader:
    """Reads bodies without holding up the threads of this process; its own process starts with the first large one."""

    def __init__(self):
        self._process: subprocess.Popen | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="json")
        self._free = asyncio.Lock()

    @staticmethod
    def is_small(body: bytes) -> bool:
        """Whether `json_tensors.read` of a body takes no longer than to have it read elsewhere."""
        if len(body) > _SMALL_BYTES:
            return False
        return body.count(b"[") + body.count(b"{") + body.count(b",") <= _SMALL_PARTS

    async def read(self, body: bytes, signatures: Signatures) -> Body:
        """`json_tensors.read` in the process. What is read for a caller who waits no longer is given up.

        Raises:
            Refusal: as there.
        """
        async with self._free:
            reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read, body, signatures)
            try:
                header, arrays = await asyncio.shield(reading)
            except asyncio.CancelledError:
                self._end()  # ends the reading, too
                await asyncio.wait([reading])
                reading.exception()
                raise
        if "problem" in header:
            raise invalid(header["problem"])
        return Body(header["signature_name"], header["rows"], arrays)

    def close(self) -> None:
        """Ends the process."""
        self._end()
        self._thread.shutdown(cancel_futures=True)

    def _end(self):
        if self._process is not None:
            self._process.kill()

    def _read(self, body, signatures):
        if self._process is None:
            # Of a session of its own: a Ctrl-C is the server's. It ends with its input.
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pipesize=_SMALL_BYTES,
                start_new_session=True,
            )
        process, ended = self._process, True
        try:
            _send(process.stdin, orjson.dumps(_as_lists(signatures)), body)
            header, contents = _receive(process.stdout)
            ended = False
            header = orjson.loads(header)
            return header, _unpacked(header, contents)
        finally:
            if ended:
                self._process = None
                process.kill()
                process.communicate()


def _as_lists(signatures):
    return {name: {key: list(value) for key, value in inputs.items()} for name, inputs in signatures.items()}


def _send(pipe: BinaryIO, header: bytes, *contents: Any) -> None:
    pipe.write(_SIZES.pack(len(header), sum(memoryview(piece).nbytes for piece in contents)))
    for piece in (header, *contents):
        pipe.write(piece)
    pipe.flush()


def _receive(pipe: BinaryIO) -> tuple[bytes, bytes]:
    """A header and contents; EOFError where there are no more."""
    sizes = pipe.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        raise EOFError
    header, contents = _SIZES.unpack(sizes)
    return pipe.read(header), pipe.read(contents)


def _packed(arrays: Mapping[str, np.ndarray]) -> tuple[list[dict[str, Any]], list[Any]]:
    """What arrays are, in words of JSON, and their contents."""
    described, pieces = [], []
    for name, array in arrays.items():
        of = {"name": name, "shape": array.shape, "dtype": "string" if array.dtype == object else array.dtype.name}
        if array.dtype == object:
            strings = array.ravel().tolist()
            of["lengths"] = [len(string) for string in strings]
            pieces.append(b"".join(strings))
        else:
            pieces.append(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
        described.append(of)
    return described, pieces


def _unpacked(header, contents):
    """Undoes `_packed`."""
    if header.get("arrays") is None:
        return None
    arrays, start = {}, 0
    for of in header["arrays"]:
        if of["dtype"] == "string":
            ends = start + np.cumsum([0, *of["lengths"]])
            array = np.empty(len(of["lengths"]), object)
            array[:] = [contents[begin:end] for begin, end in itertools.pairwise(ends)]
            start = int(ends[-1])
        else:
            dtype = json_tensors.dtype_named(of["dtype"])
            array = np.frombuffer(contents, dtype, math.prod(of["shape"]), start).copy()
            start += array.nbytes
        arrays[of["name"]] = array.reshape(of["shape"])
    return arrays


def main() -> None:
    """Reads what comes by the standard input until it ends."""
    gc.disable()  # it would look through a million lists again and again
    while True:
        try:
            header, body = _receive(sys.stdin.buffer)
        except EOFError:
            return
        signatures = {
            name: {key: Input(*value) for key, value in inputs.items()} for name, inputs in orjson.loads(header).items()
        }
        pieces = []
        try:
            read = json_tensors.read(body, signatures)
        except Refusal as refusal:
            answer = {"problem": refusal.message}
        else:
            answer = {"signature_name": read.signature_name, "rows": read.rows}
            if read.inputs is not None:
                answer["arrays"], pieces = _packed(read.inputs)
        is_large, body = len(body) > _SMALL_BYTES, None
        _send(sys.stdout.buffer, orjson.dumps(answer), *pieces)
        read = pieces = None
        if is_large:
            gc.collect()
            memory.trim()


if __name__ == "__main__":
    main()
