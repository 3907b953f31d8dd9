"""Parses large JSON bodies in a separate process.

Python parses JSON in one call, during which no other thread of the process runs: a few megabytes of digits take
seconds. Large bodies are parsed here, one after the other, while the server answers other requests.
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

# Parsing a smaller body takes a few milliseconds, as long as sending it to the process: for example, an adaptation of
# 33,000 parameters.
_SMALL_BYTES = 2**20
_SMALL_PARTS = 50_000
_SIZES = struct.Struct("<QQ")


class JsonReader:
    """Parses bodies without blocking the threads of this process; its own process starts with the first large body."""

    def __init__(self):
        self._process: subprocess.Popen | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="json")
        self._free = asyncio.Lock()

    @staticmethod
    def is_small(body: bytes) -> bool:
        """Whether `json_tensors.read` of a body takes no longer than sending it to the process."""
        if len(body) > _SMALL_BYTES:
            return False
        return body.count(b"[") + body.count(b"{") + body.count(b",") <= _SMALL_PARTS

    async def read(self, body: bytes, signatures: Signatures) -> Body:
        """Runs `json_tensors.read` in the process. If the caller disconnects, parsing is stopped.

        Raises:
            Refusal: see `json_tensors.read`.
        """
        async with self._free:
            reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read, body, signatures)
            try:
                header, arrays = await asyncio.shield(reading)
            except asyncio.CancelledError:
                self._end()  # also ends the parsing
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
            # In its own session, so that Ctrl-C reaches only the server. It ends when its input ends.
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
    """Receives a header and contents; raises EOFError if there are no more."""
    sizes = pipe.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        raise EOFError
    header, contents = _SIZES.unpack(sizes)
    return pipe.read(header), pipe.read(contents)


def _packed(arrays: Mapping[str, np.ndarray]) -> tuple[list[dict[str, Any]], list[Any]]:
    """A JSON description of arrays, and their contents."""
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
    """The inverse of `_packed`."""
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
    """Parses the bodies from standard input until it ends."""
    gc.disable()  # it would scan a million lists again and again
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
