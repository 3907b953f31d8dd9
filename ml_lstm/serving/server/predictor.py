"""Answering prediction requests within bounds, whichever protocol they came by."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import numpy as np
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.model_pb2 import ModelSpec

from ml_lstm.serving.refusals import Refusal, invalid
from ml_lstm.serving.server.cancellation import Cancellation
from ml_lstm.serving.server.recorder import Record
from ml_lstm.serving.server.store import ModelStore


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

    async def run(self, job: Callable[..., Any], *args: Any) -> Any:
        """Calls `job(*args)` in one of the threads, as soon as one is free.

        What TensorFlow computes in it ends where the caller waits no longer, and after `Limits.seconds` of computing.

        Raises:
            Refusal: if it takes longer.
        """
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
            raise Refusal(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"The request took longer than the {self.limits.seconds:g} seconds that this server computes for one: "
                "send fewer or smaller images.",
            ) from None
        finally:
            if not answer.done() or answer.cancelled():
                answer.cancel()
                cancellation.cancel()
            self._running.discard(cancellation)

    def predict(
        self, spec: ModelSpec, read_inputs: Callable[[SignatureDef], dict[str, np.ndarray]], record: Record
    ) -> tuple[ModelSpec, dict[str, np.ndarray]]:
        """Answers a request in the calling thread.

        Args:
            spec: the model, version or label, and signature that it asks for.
            read_inputs: maps the signature to the inputs by name.
            record: gets what is found out.

        Returns:
            What answered, and its outputs by name.

        Raises:
            Refusal: if there is something wrong with the request.
        """
        if spec.name in self._store.names():  # callers' own words would make metrics without end
            record.model = spec.name
        version = self._store.resolve(spec)
        signature, definition = version.signature(spec.signature_name)
        record.version, record.signature = str(version.number), signature
        inputs = read_inputs(definition)
        record.images = sum(len(array) for name, array in inputs.items() if name.endswith("_images") and array.ndim)
        if record.images > self.limits.images:
            raise invalid(
                f"The request has {record.images} images; this server takes at most {self.limits.images} in one. "
                "Adapt once, then send the queries in parts."
            )
        answered_by = ModelSpec(name=spec.name, signature_name=signature)
        answered_by.version.value = version.number
        return answered_by, version.run(signature, inputs)

    def close(self) -> None:
        """Ends what is computed and waits for the threads."""
        for cancellation in list(self._running):
            cancellation.cancel()
        self._threads.shutdown(cancel_futures=True)
