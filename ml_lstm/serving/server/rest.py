"""TensorFlow Serving's REST interface: predict, status and metadata; also the server's metrics and page."""

import asyncio
import contextlib
import re
from collections.abc import Collection
from typing import NamedTuple

import grpc
import orjson
from absl import logging
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.model_pb2 import ModelSpec

import ml_lstm
from ml_lstm.serving.refusals import Refusal, shortened
from ml_lstm.serving.server import json_tensors
from ml_lstm.serving.server.json_reader import JsonReader
from ml_lstm.serving.server.page_files import Page
from ml_lstm.serving.server.predictor import Predictor
from ml_lstm.serving.server.recorder import Recorder
from ml_lstm.serving.server.store import ModelStore

_JSON = "application/json"
_BODY_SECONDS = 60
_BODIES_HELD = 16  # maximum memory for bodies, in bodies of the largest size
_MODEL = r"(?P<name>[^/:]+)(/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(f"{_MODEL}:predict")
_OTHER_VERBS = re.compile(f"{_MODEL}:(classify|regress)")
_METADATA = re.compile(f"{_MODEL}/metadata")
_STATUS = re.compile(_MODEL)
_HTTP_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class Callers(NamedTuple):
    """The callers that the REST interface accepts. Any web page in a browser can send requests to the same machine.

    Attributes:
        hosts: names of this server in the Host header, without ports; empty for any.
        origins: other servers whose pages may send requests, for example `https://example.org`.
    """

    hosts: Collection[str]
    origins: Collection[str] = ()

    def problem(self, headers: Headers) -> str | None:
        """Why a request with these headers is rejected; None if it is accepted."""
        host = headers.get("Host", "")
        name = host.rpartition(":")[0] if re.search(r":\d*$", host) else host
        if self.hosts and name.lower() not in self.hosts:
            return f"This server does not accept the host {shortened(name)!r}: add it to --allowed_hosts."
        origin = headers.get("Origin")
        if origin in (None, f"http://{host}", f"https://{host}", *self.origins):
            return None
        return f"Pages of {shortened(origin)!r} may not send requests to this server: add it to --allowed_origins."


def rest_app(
    store: ModelStore, predictor: Predictor, recorder: Recorder, callers: Callers, page: Page | None
) -> ASGIApp:
    """The ASGI application.

    Args:
        store: the models.
        predictor: answers predict requests.
        recorder: gets a record of every request.
        callers: the accepted callers.
        page: the page at `/`, for browsers; None for no page.
    """
    api = _Api(store, predictor, recorder, page)
    app = Starlette(
        routes=[
            Route("/v1/models/{path:path}", api.get, methods=["GET"]),
            Route("/v1/models/{path:path}", api.post, methods=["POST"]),
            Route("/v1/models", api.models, methods=["GET"]),
            Route("/", api.here, methods=["GET"]),
            Route("/metrics", api.metrics, methods=["GET"]),
            *([Route("/page/{name}", page.file, methods=["GET"])] if page else []),
            Route("/{path:path}", api.nothing, methods=["GET", "POST"]),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _http_error, Exception: _failed},
    )
    return _Recorded(app, recorder, callers)


class _Api:
    def __init__(self, store, predictor, recorder, page):
        self._store = store
        self._predictor = predictor
        self._recorder = recorder
        self._page = page
        self._bytes_held = 0

    async def get(self, request: Request) -> Response:
        path = request.path_params["path"]
        if match := _METADATA.fullmatch(path):
            return _json(self._metadata(_spec(match)))
        if match := _STATUS.fullmatch(path):
            return _json(_message(self._store.status(_spec(match))))
        if _PREDICT.fullmatch(path):
            raise HTTPException(405, "Use POST for predictions.")
        raise _no_such_path(request)

    async def post(self, request: Request) -> Response:
        path = request.path_params["path"]
        if match := _PREDICT.fullmatch(path):
            with self._held() as hold:
                body = await self._body(request, hold)
                with self._predictor.place():
                    content = await self._answer(request, _spec(match), body)
            return Response(content, media_type=_JSON)
        if _OTHER_VERBS.fullmatch(path):
            raise HTTPException(400, "The model's signatures support :predict only.")
        raise _no_such_path(request)

    async def models(self, request: Request) -> Response:
        return _json({"models": [{"name": name, **self._status(name)} for name in self._store.names()]})

    async def here(self, request: Request) -> Response:
        if self._page and self._page.is_wanted(request):
            return await self._page.index(request)
        models = self._store.names()
        content = {
            "server": f"ml_lstm {ml_lstm.__version__}",
            "models": models,
            "paths": [
                "GET /v1/models",
                *(f"GET /v1/models/{name}/metadata" for name in models),
                *(f"POST /v1/models/{name}:predict" for name in models),
                "GET /metrics",
            ],
        }
        return _json(content, headers={"Vary": "Accept"})

    def _status(self, name):
        return _message(self._store.status(ModelSpec(name=name)))

    async def metrics(self, request: Request) -> Response:
        content, media_type = self._recorder.metrics()
        return Response(content, headers={"Content-Type": media_type})

    async def nothing(self, request: Request) -> Response:
        raise _no_such_path(request)

    async def _answer(self, request, spec, body):
        """The answer; an error if the caller has disconnected."""
        computing = asyncio.create_task(self._computed(spec, body, request.scope["record"]))
        leaving = asyncio.create_task(_left(request))
        try:
            await asyncio.wait([computing, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not computing.done():
                raise HTTPException(400, "The caller disconnected before the answer.")
            return await computing
        finally:
            for task in (computing, leaving):
                task.cancel()

    @contextlib.contextmanager
    def _held(self):
        """A context that yields a function, which adds bytes of a body to the total that the server holds."""
        mine = 0

        def hold(more):
            nonlocal mine
            if self._bytes_held + more > _BODIES_HELD * self._predictor.limits.request_bytes:
                raise Refusal(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "The server is busy: it is receiving other requests. Try again in a moment.",
                )
            mine += more
            self._bytes_held += more

        try:
            yield hold
        finally:
            self._bytes_held -= mine

    async def _computed(self, spec, body, record):
        version = self._predictor.resolve(spec, record)
        if JsonReader.is_small(body):
            return await self._predictor.run(self._read_and_predict, body, version, record, size=len(body))
        read = await self._predictor.read(body, version)
        return await self._predictor.run(self._predict, read, version, record, size=len(body))

    def _read_and_predict(self, body, version, record):
        return self._predict(json_tensors.read(body, version.inputs), version, record)

    def _predict(self, read, version, record):
        signature, _ = version.signature(read.signature_name)
        outputs = self._predictor.predict(version, signature, read.inputs, record)
        return json_tensors.response_to_json(outputs, read.rows)

    def _metadata(self, spec):
        version = self._store.resolve(spec)
        spec.version.value = version.number
        signatures = SignatureDefMap(signature_def=version.signature_defs)
        card = {"model_card": version.card} if version.card else {}
        return {"model_spec": _message(spec), "metadata": {"signature_def": _message(signatures)} | card}

    async def _body(self, request, hold):
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise HTTPException(415, "A body must not be compressed.")
        limit = self._predictor.limits.request_bytes
        announced = int(request.headers.get("Content-Length", 0))
        if announced > limit:
            raise _too_large(limit, f"{announced} bytes")
        chunks, size = [], 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(limit, f"more than {limit} bytes")
                    hold(len(chunk))
                    chunks.append(chunk)
        except TimeoutError:
            raise HTTPException(408, f"The body did not arrive within {_BODY_SECONDS} seconds.") from None
        except ClientDisconnect:
            raise HTTPException(400, "The caller disconnected before the body had arrived.") from None
        return b"".join(chunks)


class _Recorded:
    """Middleware: gives every request a record, `scope["record"]`, with its HTTP status, and rejects some callers."""

    def __init__(self, app: ASGIApp, recorder: Recorder, callers: Callers):
        self._app = app
        self._recorder = recorder
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = (scope.get("client") or ("unknown",))[0]
        call = f"{scope['method']} {shortened(scope['path'])}"
        with self._recorder.request("REST", call, caller) as record:

            async def note_and_send(message):
                if message["type"] == "http.response.start":
                    record.status = str(message["status"])
                await send(message)

            problem = self._callers.problem(Headers(scope=scope))
            if problem:
                record.problem = problem
                await _json({"error": problem}, 403)(scope, receive, note_and_send)
                return
            await self._app(scope | {"record": record}, receive, note_and_send)


async def _left(request):
    """Returns when the caller has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _spec(match):
    spec = ModelSpec(name=match["name"])
    if match["version"]:
        spec.version.value = int(match["version"])
    elif match["label"]:
        spec.version_label = match["label"]
    return spec


def _message(proto):
    return json_format.MessageToDict(proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _json(content, status=200, headers=None):
    return Response(orjson.dumps(content), status, headers, media_type=_JSON)


def _too_large(limit, size):
    return HTTPException(
        413,
        f"The request is too large: its body has {size}, and this server takes at most {limit}. Send fewer or smaller "
        "images at once, as image files instead of arrays, or raise the server's --max_request_bytes.",
    )


def _no_such_path(request):
    return HTTPException(404, f"There is nothing at {shortened(request.url.path)}: try /v1/models/NAME:predict.")


def _error(request, status, message, headers=None):
    request.scope["record"].problem = message
    return _json({"error": message}, status, headers)


async def _refused(request, refusal):
    status = _HTTP_STATUSES.get(refusal.code, 500)
    return _error(request, status, refusal.message, {"Retry-After": "1"} if status == 429 else None)


async def _http_error(request, error):
    return _error(request, error.status_code, error.detail, error.headers)


async def _failed(request, error):
    logging.exception("While answering %s", request.url.path)
    return _error(request, 500, "The server failed on this request: see its log.")
