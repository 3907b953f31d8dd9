"""Load test of the local server and of the bare SavedModel: python export/load_test.py --model_base_path=MODELS/NAME

It measures, on one machine and in one run: the latency for one caller, alternating with the bare SavedModel; then the
load of many simultaneous callers; then the server's memory over so many requests that a leak would be visible. The
problem is 5-way 1-shot with 15 queries per class, glyphs of 28x28 pixels. Callers keep their connections and send
requests that were prepared before.
"""

import base64
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import requests
import tensorflow as tf
from absl import flags, logging
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

import ml_lstm
from ml_lstm.command_line import command, devices, records
from ml_lstm.errors import UserError

FLAGS = flags.FLAGS
NAME = "few_shot"
_THREADS = ("intra_op_threads", "inter_op_threads")
_SETTING = ("clients", "seconds", "memory_requests", "latency_calls", *_THREADS)
Call = Callable[[], Any]


def define_flags() -> None:
    """Defines the flags of the load test."""
    flags.DEFINE_string(
        "model_base_path", None, "Directory of the exported model's versions, MODELS/NAME.", required=True
    )
    flags.DEFINE_integer("clients", 16, "Number of simultaneous callers.", lower_bound=1)
    flags.DEFINE_float("seconds", 60, "Duration of each load, seconds.", lower_bound=0.1)
    flags.DEFINE_integer("memory_requests", 10_000, "Number of requests while memory is measured.", lower_bound=10)
    flags.DEFINE_integer("latency_calls", 200, "Number of calls by each protocol, with one caller.", lower_bound=1)
    flags.DEFINE_string("json", None, "File to write the results to.")
    devices.define_flags()


class Problem:
    """One few-shot problem in all forms in which it is sent.

    Args:
        signatures: signatures of the bare SavedModel.
        channels: channels of its images.

    Attributes:
        inputs: by signature with the number of queries, `(signature, queries)`; arrays by input name.
    """

    def __init__(self, signatures: dict[str, Any], channels: int):
        episode = next(iter(ml_lstm.data.load("glyphs", n_way=5, k_shot=1, n_query=15).test))
        images = {name: np.asarray(getattr(episode, name)) for name in ("support_images", "query_images")}
        images = {name: np.repeat(pixels[..., :1], channels, axis=-1) for name, pixels in images.items()}
        files = {name: np.array([_png(image) for image in pixels], object) for name, pixels in images.items()}
        labels = np.array([f"class {label}".encode() for label in episode.support_labels], object)
        self.inputs = {}
        for suffix, ready in (("", images), ("_encoded", files)):
            support = {"support_images": ready["support_images"], "support_labels": labels}
            adaptation = {
                name: value.numpy() for name, value in signatures["adapt" + suffix](**_tensors(support)).items()
            }
            for number in (len(images["query_images"]), 1):
                queries = {"query_images": ready["query_images"][:number]}
                self.inputs["adapt_and_predict" + suffix, number] = support | queries
                self.inputs["predict" + suffix, number] = adaptation | queries

    def bare_call(self, signatures, signature: str, queries: int) -> Call:
        """Calls the SavedModel like the server, from NumPy to NumPy."""
        inputs = self.inputs[signature, queries]
        return lambda: [value.numpy() for value in signatures[signature](**_tensors(inputs)).values()]

    def rest_call(self, url: str, signature: str, queries: int) -> Call:
        """Sends a request by REST, on its own connection."""
        inputs = {name: _to_json(value) for name, value in self.inputs[signature, queries].items()}
        body = json.dumps({"signature_name": signature, "inputs": inputs}).encode()
        session = requests.Session()
        return lambda: session.post(f"{url}/v1/models/{NAME}:predict", data=body, timeout=60).raise_for_status()

    def grpc_call(self, address: str, signature: str, queries: int) -> Call:
        """Sends a request by gRPC, on its own connection."""
        request = PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = NAME, signature
        for name, value in self.inputs[signature, queries].items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        predict = PredictionServiceStub(grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])).Predict
        return lambda: predict(request, timeout=60)


def latencies_in_turn(calls: dict[str, Call], number: int) -> dict[str, float]:
    """Median seconds of each call; the calls alternate, `number` times each, after a few warm-up calls."""
    seconds = {name: [] for name in calls}
    for index in range(number + 5):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if index >= 5:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def load(
    make_call: Callable[[], Call], clients: int, seconds: float = np.inf, number: float = np.inf
) -> dict[str, Any]:
    """Runs clients that call without pauses, for `seconds` or until `number` calls are made.

    Returns:
        `requests`, `failed`, `seconds`, `requests_per_second`, `p50_ms` and `p99_ms`.
    """
    took, failures, lock = [], [], threading.Lock()

    def client(call):
        call()
        barrier.wait()
        while time.perf_counter() < until:
            with lock:
                if len(took) + len(failures) + clients > number:
                    return
            started = time.perf_counter()
            try:
                call()
                took.append(time.perf_counter() - started)
            except (grpc.RpcError, requests.RequestException) as failure:
                failures.append(str(failure))

    barrier, until = threading.Barrier(clients + 1), np.inf
    threads = [threading.Thread(target=client, args=[make_call()], daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    until = started + seconds
    barrier.wait()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        logging.error("%d requests failed, the first with: %s", len(failures), failures[0])
    p50, p99 = 1e3 * np.percentile(took, [50, 99])
    return {
        "requests": len(took) + len(failures),
        "failed": len(failures),
        "seconds": seconds,
        "requests_per_second": len(took) / seconds,
        "p50_ms": p50,
        "p99_ms": p99,
    }


class Server:
    """The local server in its own process, on free ports; it ends with the context.

    Attributes:
        url: URL of its REST interface.
        address: address of its gRPC interface.
    """

    def __init__(self, model_base_path: str):
        self._log = tempfile.NamedTemporaryFile("r", suffix=".log")  # noqa: SIM115
        flags = [f"--model_base_path={model_base_path}", f"--model_name={NAME}", "--rest_api_port=0", "--port=0"]
        flags += [f"--{name}={FLAGS[name].value}" for name in _THREADS if FLAGS[name].present]
        with open(self._log.name, "w") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "ml_lstm.serve", *flags], stderr=log)
        while not (ready := re.search(r"REST at (\S+), gRPC at (\S+)", Path(self._log.name).read_text())):
            if self._process.poll() is not None:
                sys.exit(Path(self._log.name).read_text())
            time.sleep(0.1)
        self.url, self.address = ready.groups()

    def resident_mb(self) -> float:
        process = psutil.Process(self._process.pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 1e6

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


def main() -> None:
    """Prints a table for each part as it is measured."""
    devices.use_as_flagged()
    versions = [int(path.name) for path in Path(FLAGS.model_base_path).glob("[0-9]*") if path.name.isdecimal()]
    if not versions:
        raise UserError(f"{FLAGS.model_base_path} has no versions: check --model_base_path.")
    directory = Path(FLAGS.model_base_path) / str(max(versions))
    card = json.loads((directory / "assets.extra" / "model_card.json").read_text())
    model = tf.saved_model.load(str(directory))
    problem = Problem(model.signatures, card["image_shape"][-1])
    started = time.monotonic()
    with Server(FLAGS.model_base_path) as server:
        results = {
            "latency": _latency(problem, model.signatures, server),
            "load": _load(problem, server),
            "memory": _memory(problem, server),
        }
    results |= {
        "flags": {name: getattr(FLAGS, name) for name in _SETTING},
        "model": {name: card[name] for name in ("method", "image_shape", "inner_steps", "flags")},
        "device": devices.describe(),
        "wall_seconds": time.monotonic() - started,
        "commit": records.commit(),
    }
    if FLAGS.json:
        records.write_json(Path(FLAGS.json), results)


def _latency(problem, signatures, server):
    print("One caller, median ms:  bare SavedModel  gRPC (ratio)  REST (ratio)")
    table = {}
    for signature, queries in problem.inputs:
        calls = {
            "bare": problem.bare_call(signatures, signature, queries),
            "grpc": problem.grpc_call(server.address, signature, queries),
            "rest": problem.rest_call(server.url, signature, queries),
        }
        medians = latencies_in_turn(calls, FLAGS.latency_calls)
        row = {f"{name}_ms": 1e3 * seconds for name, seconds in medians.items()}
        row |= {f"{name}_ratio": medians[name] / medians["bare"] for name in ("grpc", "rest")}
        table[f"{signature}, {queries} queries"] = row
        print(
            f"  {signature}, {queries} queries:  {row['bare_ms']:.2f}  "
            f"{row['grpc_ms']:.2f} ({row['grpc_ratio']:.2f})  {row['rest_ms']:.2f} ({row['rest_ratio']:.2f})"
        )
    return table


def _load(problem, server):
    print(f"{FLAGS.clients} callers, {FLAGS.seconds:g} s each:")
    table = {}
    for signature, queries in problem.inputs:
        if not signature.endswith("_encoded"):
            continue
        ways = {
            "gRPC": lambda: problem.grpc_call(server.address, signature, queries),  # noqa: B023
            "REST": lambda: problem.rest_call(server.url, signature, queries),  # noqa: B023
        }
        for way, make_call in ways.items():
            row = load(make_call, FLAGS.clients, seconds=FLAGS.seconds)
            table[f"{signature}, {queries} queries, {way}"] = row
            print(
                f"  {signature}, {queries} queries, {way}:  {row['requests']} requests, {row['failed']} failed, "
                f"{row['requests_per_second']:.1f}/s, p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms"
            )
    return table


def _memory(problem, server):
    total = FLAGS.memory_requests
    print(f"Memory of the server over {total} requests to adapt and predict, by REST and gRPC in turn, MB:")
    resident = {0: server.resident_mb()}
    failed = 0
    for part in range(10):
        ways = [
            lambda: problem.rest_call(server.url, "adapt_and_predict_encoded", 1),
            lambda: problem.grpc_call(server.address, "adapt_and_predict", 75),
        ]
        failed += load(ways[part % 2], FLAGS.clients, number=total // 10)["failed"]
        resident[(part + 1) * (total // 10)] = server.resident_mb()
        print(f"  {(part + 1) * (total // 10)}: {server.resident_mb():.0f}")
    return {"resident_mb": resident, "failed": failed}


def _to_json(array):
    if array.dtype != object:
        return array.tolist()
    return [_text(item) for item in array]


def _text(item):
    try:
        return item.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(item).decode()}


def _png(image):
    return tf.io.encode_png(image).numpy()


def _tensors(inputs):
    return {name: tf.constant(value) for name, value in inputs.items()}


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
