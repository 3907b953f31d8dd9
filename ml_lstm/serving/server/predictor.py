"""Answering prediction requests within bounds, whichever protocol they came by."""

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

_LARGE_BYTES = 2**20  # of a request: photographs, of which one may take as long as a thousand small images
_TRIM_SECONDS, _TRIM_SECONDS_OF_SMALL = 1, 60  # until memory goes back; a small file may hold a picture of 50 MB


class Limits(NamedTuple):
    """What the server takes at most.

    Attributes:
        request_bytes: of one request.
        images: of one request, support images and queries together.
        concurrent: requests being computed.
        waiting: requests that wait for that; more are refused at once.
        seconds: that one is computed for.
    """

    request_bytes: int
    images: int
    concurrent: int
    waiting: int
    seconds: float


class Predictor:
    """Runs models in threads of its own, while the event loop goes on.

    Args:
        store: the models.
        limits: not exceeded.
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
        """A request holds one from its last byte to its answer.

        Raises:
            Refusal: if all are taken.
        """
        if self._places_taken >= self.limits.concurrent + self.limits.waiting:
            raise Refusal(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"The server is busy: {self.limits.concurrent} requests are computed and {self.limits.waiting} wait. "
                "Try again in a moment.",
            )
        self._places_taken += 1
        try:
            yield
        finally:
            self._places_taken -= 1

    async def run(self, job: Callable[..., Any], *args: Any, size: int = 0) -> Any:
        """Calls `job(*args)` in one of the threads, as soon as one is free; large requests take half of them at most.

        What TensorFlow computes in it ends where the caller waits no longer, and after `Limits.seconds` of computing.

        Args:
            job: what is to be done.
            *args: its arguments.
            size: bytes of the request.

        Raises:
            Refusal: if it takes longer.
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
        """Reads a body of JSON that is large, beside all else; see `JsonReader`.

        Raises:
            Refusal: if it is no request of the version, or takes too long.
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
        if spec.name in self._store.names():  # callers' own words would make metrics without end
            record.model = spec.name
        version = self._store.resolve(spec)
        record.version = str(version.number)
        return version

    def predict(
        self, version: Version, signature: str, inputs: dict[str, np.ndarray], record: Record
    ) -> dict[str, np.ndarray]:
        """Answers a request in the calling thread.

        Args:
            version: that it asks for.
            signature: its name in full.
            inputs: by name.
            record: gets what is found out.

        Returns:
            The outputs by name.

        Raises:
            Refusal: if there is something wrong with the request.
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
            f"The request took longer than the {self.limits.seconds:g} seconds that this server computes for one: "
            "send fewer or smaller images.",
        )

    def close(self) -> None:
        """Ends what is computed and waits for the threads."""
        for cancellation in list(self._running):
            cancellation.cancel()
        self._reader.close()
        self._threads.shutdown(cancel_futures=True)
