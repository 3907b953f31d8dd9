"""Runs the server from start to stop."""

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
_CANCELLED_SECONDS = 5  # wait for cancelled computations, whose running operations must end first
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
    """Serves until SIGTERM or SIGINT, then finishes running requests within 30 s and returns.

    A second signal ends the process at once.

    Args:
        config: the models.
        limits: limits of requests.
        host: address to listen on.
        rest_api_port: port for REST; 0 for any free port.
        port: port for gRPC; 0 for any free port.
        poll_seconds: seconds between checks for new versions.
        callers: accepted callers of REST.
        ui: whether to serve the page.

    Raises:
        UserError: if a port is in use, or a model has no version that can be loaded.
    """
    # How long a computing Python thread can block another one: by default 5 ms each time.
    sys.setswitchinterval(_SWITCH_SECONDS)
    asyncio.run(_serve(config, limits, host, rest_api_port, port, poll_seconds, callers, Page() if ui else None))


async def _serve(config, limits, host, rest_api_port, port, poll_seconds, callers, page):
    store = ModelStore(config)
    predictor = Predictor(store, limits)
    recorder = Recorder(store)
    grpc_listener = await grpc_server(store, predictor, recorder)
    with _bound(host, rest_api_port, "rest_api_port") as rest_socket:
        _bound(host, port, "port").close()  # reports errors early; gRPC would print its own lines
        await asyncio.to_thread(store.refresh)
        _require_a_version(store, config)
        # No client can connect before this.
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
        rest_socket.listen()  # before the log says that the server is ready
        address, rest_port = f"[{host}]" if ":" in host else host, rest_socket.getsockname()[1]
        logging.info("REST at http://%s:%d, gRPC at %s:%d", address, rest_port, address, port)
        if page:
            # If the server listens on all addresses, a browser on this machine uses the loopback.
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
            _end_by(signal.SIGKILL)  # a thread cannot be stopped from outside


def _end_by(number):
    """Ends the process at once, like the signal's default action."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _second_ends_at_once():
    """A handler that ends the process at the second signal. At its end, uvicorn raises the first one again."""
    seen = []

    def handle(number, _):
        seen.append(number)
        if len(seen) > 1:
            _end_by(number)

    return handle


class _RestListener(uvicorn.Server):
    """A uvicorn server that ends the process at a second signal."""

    def handle_exit(self, sig, frame):
        if self.should_exit:
            _end_by(sig)
        super().handle_exit(sig, frame)


async def _stop_with(rest_listener, grpc_listener):
    """Stops gRPC when REST begins to stop, so that both have the same time for running requests."""
    while not rest_listener.should_exit:
        await asyncio.sleep(0.1)
    await grpc_listener.stop(_LAST_REQUESTS_SECONDS)


async def _watch(store, seconds):
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(store.refresh)
        except Exception:  # a directory may disappear at any time; loaded versions are still served
            logging.exception("While checking for new versions")


def _bound(host, port, flag):
    """A bound socket that does not listen yet, so that a client that connects too early gets an error at once."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # on other systems it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise UserError(f"{host}:{port}: {error.strerror}: choose another --{flag} or --host.") from None
    # Connections inherit this option; asyncio sets it only if a socket has an explicit protocol. Without it, an answer
    # waits 40 ms for the caller to acknowledge its headers.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _require_a_version(store, config):
    available = {name for name, _ in store.available()}
    for model in config.model_config_list.config:
        if model.name not in available:
            raise UserError(f"{model.base_path} has no version that can be loaded: {_hint(Path(model.base_path))}")


def _hint(directory):
    if (directory / "saved_model.pb").exists():
        return f"it is a version; give the directory of versions, {directory.parent}."
    models = sorted({path.parent.parent for path in directory.glob("*/*/saved_model.pb")})
    if models:
        return f"give the directory of one model, {' or '.join(map(str, models))}."
    return f"export one with python -m ml_lstm.export --run_dir=RUN --export_dir={directory}."
