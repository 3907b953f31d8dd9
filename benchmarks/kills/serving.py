"""Kills `serve` as it starts and under load, and starts it again at the same ports."""

import http.client
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from benchmarks.kills import moments, saved
from benchmarks.kills.commands import Commands, Running
from benchmarks.kills.moments import Moment, from_the_start

_CALLERS = 4
_LOAD_SECONDS = 3
_ANSWER_SECONDS = 120

_LABELS = [f"class {number}" for number in range(5)]


def _images(count):
    return np.random.default_rng(0).integers(256, size=(count, 16, 16, 1), dtype=np.uint8)


def answer_of_version(version: Path) -> bytes:
    """The probabilities of an exported version for a problem that is always the same.

    Raises:
        OSError, tf.errors.OpError: if it does not load.
    """
    signature = tf.saved_model.load(str(version)).signatures["adapt_and_predict"]
    images = tf.constant(_images(8))
    answer = signature(support_images=images[:5], support_labels=tf.constant(_LABELS), query_images=images[5:])
    return answer["probabilities"].numpy().tobytes()


class Server:
    """`serve` at ports that stay the same at every start.

    Args:
        commands: starts it.
        models: directory of the model's versions.
    """

    def __init__(self, commands: Commands, models: Path):
        self._commands, self._models = commands, models
        self._rest, self._grpc = _free_port(), _free_port()
        body = {"support_images": _images(8)[:5], "support_labels": _LABELS, "query_images": _images(8)[5:]}
        listed = {name: value if isinstance(value, list) else value.tolist() for name, value in body.items()}
        self._body = json.dumps({"signature_name": "adapt_and_predict", "inputs": listed}).encode()
        self._request = PredictRequest()
        self._request.model_spec.name = models.name
        self._request.model_spec.signature_name = "adapt_and_predict"
        for name, value in body.items():
            self._request.inputs[name].CopyFrom(tf.make_tensor_proto(value))

    def start(self, **popen) -> Running:
        flags = (f"--model_base_path={self._models}", f"--rest_api_port={self._rest}", f"--port={self._grpc}")
        return self._commands.start("serve", *flags, **popen)

    def ready(self, _: Running) -> bool:
        """Whether it reports an available version; waits a moment first, so that it is not asked all the time."""
        time.sleep(0.1)
        try:
            return bool(self.versions())
        except OSError:
            return False

    def versions(self) -> list[int]:
        """The available versions, by REST."""
        with urllib.request.urlopen(self._url(), timeout=_ANSWER_SECONDS) as answer:
            statuses = json.load(answer)["model_version_status"]
        return sorted(int(each["version"]) for each in statuses if each["state"] == "AVAILABLE")

    def _url(self):
        return f"http://127.0.0.1:{self._rest}/v1/models/{self._models.name}"

    def ask_rest(self) -> bytes:
        """Its answer, in the form of `answer_of_version`."""
        request = urllib.request.Request(f"{self._url()}:predict", self._body)
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
            return np.array(json.load(answer)["outputs"]["probabilities"], np.float32).tobytes()

    def ask_grpc(self) -> bytes:
        """Its answer, in the form of `answer_of_version`."""
        with grpc.insecure_channel(f"127.0.0.1:{self._grpc}") as channel:
            answer = PredictionServiceStub(channel).Predict(self._request, timeout=_ANSWER_SECONDS)
        return tf.make_ndarray(answer.outputs["probabilities"]).tobytes()


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class _Load:
    """Callers, by REST and gRPC in turn, that ask within the context until the server is gone."""

    def __init__(self, server: Server, callers: int):
        self.answers: set[bytes] = set()
        self.refusals: list[str] = []
        self.count = 0
        ways = [(server.ask_rest, server.ask_grpc)[number % 2] for number in range(callers)]
        self._threads = [threading.Thread(target=self._ask, args=[way], daemon=True) for way in ways]

    def _ask(self, way: Callable[[], bytes]):
        try:
            while True:
                self.answers.add(way())
                self.count += 1
        except urllib.error.HTTPError as refusal:
            self.refusals.append(f"refused: {refusal}")
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                self.refusals.append(f"refused: {error.code()}")
        except (OSError, ValueError, http.client.HTTPException):  # gone, or cut off within an answer
            return

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self._threads:
            thread.join()


PHASES = ("starting", "under load")


def kill_and_start_again(commands: Commands, models: Path, drawn: Sequence[Moment]) -> dict[str, list[dict]]:
    """Kills a server at each of the moments; returns `kills` and `checks`, each with its `problems`."""
    before, server, kills = saved.tree(models), Server(commands, models), []
    running = server.start()
    moments.reached(running, server.ready)
    seconds = {"starting": running.seconds, "under load": _LOAD_SECONDS}
    answer = server.ask_rest()
    problems = [] if answer == server.ask_grpc() else ["they differ"]
    checks = [{"what": "without a kill, it answers the same by REST and gRPC", "problems": problems}]
    running.kill()
    for moment in drawn:
        kills.append(_kill(server, moment, seconds, answer))
    running = server.start()
    if moments.reached(running, server.ready):
        problems = [] if {server.ask_rest(), server.ask_grpc()} == {answer} else ["it answers otherwise"]
    else:
        problems = running.finish().failure()
    running.kill()
    checks.append({"what": "started once more at the same ports, it answers as before", "problems": problems})
    after = saved.tree(models)
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    checks.append({"what": "it has written nothing, and no file of the model has changed", "problems": differing})
    return {"kills": kills, "checks": checks}


def _kill(server, moment, seconds, expected):
    running = server.start()
    if moment.phase == "under load":
        moments.reached(running, server.ready)
    with _Load(server, callers=_CALLERS if moment.phase == "under load" else 0) as load:
        killed = moments.kill_at(running, moment, {moment.phase: from_the_start}, seconds[moment.phase])
    problems = _unexpected(killed.finished.stderr) if killed else [f"it ended: {running.finish()}"]
    problems += load.refusals + (["another answer"] if load.answers - {expected} else [])
    return {
        "drawn": moment._asdict(),
        "phase": killed and killed.phase,
        "seconds": killed and killed.seconds,
        "left": f"{load.count} requests answered",
        "problems": problems,
    }


def _unexpected(log):
    """Lines of a server's log above the level INFO."""
    return [line for line in log.splitlines() if re.match(r"[WEF]\d{4} .*\] ", line) and "0000 00:00" not in line]
