"""The server from its start to its end."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from absl import logging
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from ml_lstm.errors import UserError
from ml_lstm.serving.server.grpc_services import grpc_server
from ml_lstm.serving.server.http import protocol
from ml_lstm.serving.server.page_files import Page
from ml_lstm.serving.server.predictor import Limits, Predictor
from ml_lstm.serving.server.recorder import Recorder
from ml_lstm.serving.server.rest import Callers, rest_app
from ml_lstm.serving.server.store import ModelStore

_LAST_REQUESTS_SECONDS = 30
_CANCELLED_SECONDS = 5  # until an operation that had begun has ended, and with it a computation that was cancelled
_MOST_CONNECTIONS = 512
_SWITCH_SECONDS = 0.001


def serve(
    config: ModelServerConfig,
    limits: Limits,
    host: str,
    rest_api_port: int,
    port: int,
    poll_seconds: float,
    callers: Callers,
    ui: bool = True,
) -> None:
    """Serves until SIGTERM or SIGINT, then answers what has begun, for 30 s at most, and returns.

    A second signal ends the process at once.

    Args:
        config: the models.
        limits: of requests.
        host: address to listen at.
        rest_api_port: for REST; 0 for any that is free.
        port: for gRPC; 0 for any that is free.
        poll_seconds: between looks for new versions.
        callers: of REST, that are answered.
        ui: whether browsers are shown the page.

    Raises:
        UserError: if a port is taken, or no model can be loaded.
    """
    # How long a thread of Python's that computes keeps another one from its turn: by default 5 ms each time.
    sys.setswitchinterval(_SWITCH_SECONDS)
    asyncio.run(_serve(config, limits, host, rest_api_port, port, poll_seconds, callers, Page() if ui else None))


async def _serve(config, limits, host, rest_api_port, port, poll_seconds, callers, page):
    store = ModelStore(config)
    predictor = Predictor(store, limits)
    recorder = Recorder(store)
    grpc_listener = await grpc_server(store, predictor, recorder)
    with _bound(host, rest_api_port, "rest_api_port") as rest_socket:
        _bound(host, port, "port").close()  # says what is wrong before time is spent; gRPC would write lines of its own
        await asyncio.to_thread(store.refresh)
        _require_a_version(store, config)
        # Nobody can connect before this.
        port = grpc_listener.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        rest_listener = _RestListener(
            uvicorn.Config(
                rest_app(store, predictor, recorder, callers, page),
                http=protocol(_MOST_CONNECTIONS),
                lifespan="off",
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
            )
        )
        await grpc_listener.start()
        watching = asyncio.create_task(_watch(store, poll_seconds))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _second_ends_at_once())
        rest_socket.listen()  # before it is said to be ready
        address, rest_port = f"[{host}]" if ":" in host else host, rest_socket.getsockname()[1]
        logging.info("REST at http://%s:%d, gRPC at %s:%d", address, rest_port, address, port)
        if page:
            # Where the server listens at all addresses, this machine's browser has the loopback.
            here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(address, address)
            logging.info("Open http://%s:%d/", here, rest_port)
        stopping = asyncio.create_task(_stop_with(rest_listener, grpc_listener))
        await rest_listener.serve(sockets=[rest_socket])
        watching.cancel()
        await stopping
        closing = asyncio.create_task(asyncio.to_thread(predictor.close))
        await asyncio.wait([closing], timeout=_CANCELLED_SECONDS)
        logging.info("Stopped")
        if not closing.done():
            _end_by(signal.SIGKILL)  # no thread can be ended from outside


def _end_by(number):
    """Ends the process at once, as the signal does where nobody handles it."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _second_ends_at_once():
    """A handler for when uvicorn has stopped: it raises the signal that ended it once more."""
    seen = []

    def handle(number, _):
        seen.append(number)
        if len(seen) > 1:
            _end_by(number)

    return handle


class _RestListener(uvicorn.Server):
    """Ends the process at a second signal, whatever it does."""

    def handle_exit(self, sig, frame):
        if self.should_exit:
            _end_by(sig)
        super().handle_exit(sig, frame)


async def _stop_with(rest_listener, grpc_listener):
    """Stops gRPC as soon as REST is being stopped: both have the same time for what has begun."""
    while not rest_listener.should_exit:
        await asyncio.sleep(0.1)
    await grpc_listener.stop(_LAST_REQUESTS_SECONDS)


async def _watch(store, seconds):
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(store.refresh)
        except Exception:  # a directory may vanish at any moment; what is loaded is served on
            logging.exception("While looking for new versions")


def _bound(host, port, flag):
    """A socket with an address, that does not listen yet: who connects too early should learn it at once."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise UserError(f"{host}:{port}: {error.strerror}: choose another --{flag} or --host.") from None
    # Connections inherit it; asyncio sets it only where a socket names its protocol. Without it an answer waits for
    # the caller to acknowledge its headers, 40 ms.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _require_a_version(store, config):
    available = {name for name, _ in store.available()}
    for model in config.model_config_list.config:
        if model.name not in available:
            raise UserError(f"{model.base_path} has no version that loads: {_hint(Path(model.base_path))}")


def _hint(directory):
    if (directory / "saved_model.pb").exists():
        return f"it is a version; give the directory of versions, {directory.parent}."
    models = sorted({path.parent.parent for path in directory.glob("*/*/saved_model.pb")})
    if models:
        return f"give the directory of one model, {' or '.join(map(str, models))}."
    return f"export one, python -m ml_lstm.export --run_dir=RUN --export_dir={directory}."
