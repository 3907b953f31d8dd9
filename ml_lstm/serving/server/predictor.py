"""Answers prediction requests within limits, for both protocols."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import numpy as np
from tensorflow_serving.apis.model_pb2 import ModelSpec

from ml_lstm.serving.refusals import Refusal, invalid
from ml_lstm.serving.server.cancellation import Cancellation
from ml_lstm.serving.server.json_reader import JsonReader
from ml_lstm.serving.server.json_tensors import Body
from ml_lstm.serving.server.memory import Trimmer
from ml_lstm.serving.server.recorder import Record
from ml_lstm.serving.server.store import ModelStore
from ml_lstm.serving.server.version import Version

_LARGE_BYTES = 2**20  # of a request: photographs; one may take as long as a thousand small images
_TRIM_SECONDS, _TRIM_SECONDS_OF_SMALL = 1, 60  # until memory is returned; a small file may hold an image of 50 MB


class Limits(NamedTuple):
    """Limits of the server.

    Attributes:
        request_bytes: maximum size of a request.
        images: maximum number of images in a request, support images and queries together.
        concurrent: maximum number of requests being computed.
        waiting: maximum number of requests that wait to be computed; further ones get an error at once.
        seconds: time limit for computing a request.
    """

    request_bytes: int
    images: int
    concurrent: int
    waiting: int
    seconds: float


class Predictor:
    """Runs models in its own threads, so that the event loop is not blocked.

    Args:
        store: the models.
        limits: the limits.
    """

    def __init__(self, store: ModelStore, limits: Limits):
        self.limits = limits
        self._store = store
        self._threads = ThreadPoolExecutor(limits.concurrent, thread_name_prefix="predict")
        self._large = asyncio.Semaphore(max(limits.concurrent // 2, 1))
        self._trimmer = Trimmer()
        self._reader = JsonReader()
        self._places_taken = 0
        self._running: set[Cancellation] = set()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A context that reserves a place for a request, from its last byte to its answer.

        Raises:
            Refusal: if all places are taken.
        """
        if self._places_taken >= self.limits.concurrent + self.limits.waiting:
            raise Refusal(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"The server is busy: it computes {self.limits.concurrent} requests, and {self.limits.waiting} wait. "
                "Try again in a moment.",
            )
        self._places_taken += 1
        try:
            yield
        finally:
            self._places_taken -= 1

    async def run(self, job: Callable[..., Any], *args: Any, size: int = 0) -> Any:
        """Calls `job(*args)` in the next free thread; large requests use at most half of the threads.

        TensorFlow's computation is cancelled if the caller disconnects, and after `Limits.seconds` of computing.

        Args:
            job: the function to call.
            *args: its arguments.
            size: size of the request, bytes.

        Raises:
            Refusal: if the time limit is exceeded.
        """
        is_large = size > _LARGE_BYTES
        try:
            async with self._large if is_large else contextlib.nullcontext():
                return await self._run(job, *args)
        finally:
            self._trimmer.trim_within(_TRIM_SECONDS if is_large else _TRIM_SECONDS_OF_SMALL)

    async def _run(self, job, *args):
        loop, cancellation = asyncio.get_running_loop(), Cancellation()
        begun = loop.create_future()

        def call():
            loop.call_soon_threadsafe(lambda: begun.done() or begun.set_result(None))
            with cancellation:
                return job(*args)

        self._running.add(cancellation)
        answer = loop.run_in_executor(self._threads, call)
        try:
            await asyncio.wait([begun, answer], return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(self.limits.seconds):
                return await answer
        except TimeoutError:
            raise self._too_long() from None
        finally:
            if not answer.done() or answer.cancelled():
                answer.cancel()
                cancellation.cancel()
            self._running.discard(cancellation)

    async def read(self, body: bytes, version: Version) -> Body:
        """Parses a large JSON body in another process, see `JsonReader`.

        Raises:
            Refusal: if the body is not a valid request for the version, or takes too long.
        """
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await self._reader.read(body, version.inputs)
        except TimeoutError:
            raise self._too_long() from None

    def resolve(self, spec: ModelSpec, record: Record) -> Version:
        """The version that a request asks for.

        Raises:
            Refusal: if it is not served.
        """
        if spec.name in self._store.names():  # names chosen by callers would create unlimited metrics
            record.model = spec.name
        version = self._store.resolve(spec)
        record.version = str(version.number)
        return version

    def predict(
        self, version: Version, signature: str, inputs: dict[str, np.ndarray], record: Record
    ) -> dict[str, np.ndarray]:
        """Answers a request in the calling thread.

        Args:
            version: the requested version.
            signature: full name of the signature.
            inputs: by name.
            record: filled in.

        Returns:
            The outputs by name.

        Raises:
            Refusal: if the request is invalid.
        """
        record.signature = signature
        record.images = sum(len(array) for name, array in inputs.items() if name.endswith("_images") and array.ndim)
        if record.images > self.limits.images:
            raise invalid(
                f"The request has {record.images} images; this server takes at most {self.limits.images} in one. "
                "Adapt once, then send the queries in parts."
            )
        return version.run(signature, inputs)

    def _too_long(self):
        return Refusal(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"The request took longer than this server's limit of {self.limits.seconds:g} seconds: "
            "send fewer or smaller images.",
        )

    def close(self) -> None:
        """Cancels all computations and waits for the threads."""
        for cancellation in list(self._running):
            cancellation.cancel()
        self._reader.close()
        self._threads.shutdown(cancel_futures=True)
