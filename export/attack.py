"""Sends hostile requests to the local server: python export/attack.py --model_base_path=MODEL

It starts `ml_lstm.serve` on the loopback and sends about 150 requests by REST and gRPC that try to stop or block it,
one after the other. A well-behaved caller sends its own requests at the same time. For each hostile request it prints
the answer, its time, and the well-behaved caller's slowest answer meanwhile; then, for each kind of request, the 99th
percentile of that caller's times, compared with the one without hostile requests. All waits have time limits.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags, logging
from hostile_requests import MOST_SECONDS, attacks
from load_test import Problem, Server

from ml_lstm.command_line import command, devices, records
from ml_lstm.whole_files import whole

FLAGS = flags.FLAGS
_ALONE_SECONDS = 15
_MEMORY_SECONDS = 5  # until freed memory is returned


def define_flags() -> None:
    """Defines the flags."""
    flags.DEFINE_string(
        "model_base_path", None, "Directory of the exported model's versions, MODELS/NAME.", required=True
    )
    flags.DEFINE_string("json", None, "File to write the results to.")
    flags.DEFINE_string("out", None, "Markdown file, FILE.md, to write a page of the results to.")
    flags.DEFINE_string("neighbour_of", None, "Only run the well-behaved caller, for the server at this address.")
    devices.define_flags()


class Neighbour:
    """A caller in its own process that sends one small request after the other and records each answer's time."""

    def __init__(self, address: str):
        program = [sys.executable, __file__, f"--model_base_path={FLAGS.model_base_path}", f"--neighbour_of={address}"]
        self._process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._took: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self):
        for line in self._process.stdout:
            self._took.append(tuple(map(float, line.split())))

    def between(self, start: float, end: float) -> list[float]:
        """Seconds taken by each answer for which it waited in this interval of the monotonic clock."""
        return [took for begun, took in self._took if begun + took >= start and begun <= end]

    def __enter__(self):
        self._thread.start()
        while not self._took and self._process.poll() is None:
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._thread.join(MOST_SECONDS)


def ask_on(call: Callable[[], Any]) -> None:
    """Runs the well-behaved caller until it is killed: prints the start and duration of each request."""
    while True:
        started = time.monotonic()
        call()
        print(started, time.monotonic() - started, flush=True)
        time.sleep(0.01)


def main() -> None:
    """Prints a row for each request, then the well-behaved caller's times and the server's memory."""
    version = max((path for path in Path(FLAGS.model_base_path).glob("[0-9]*")), key=lambda path: int(path.name))
    card = json.loads((version / "assets.extra" / "model_card.json").read_text())
    problem = Problem(tf.saved_model.load(str(version)).signatures, card["image_shape"][-1])
    if FLAGS.neighbour_of:
        ask_on(problem.grpc_call(FLAGS.neighbour_of, "adapt_and_predict_encoded", 1))
    rows, begins = [], {}
    with Server(FLAGS.model_base_path) as server, Neighbour(server.address) as neighbour:
        started = time.monotonic()
        time.sleep(_ALONE_SECONDS)
        alone = neighbour.between(started, time.monotonic())
        memory = server.resident_mb()
        print(f"{'':52} {'answer':24} {'s':>6} {'neighbour, s':>13}")
        for kind, name, send in attacks(server.url, server.address, problem):
            begun = time.monotonic()
            answer = send()
            took = time.monotonic() - begun
            slowest = max(neighbour.between(begun, begun + took), default=0.0)
            row = {"kind": kind, "name": name, "answer": answer, "seconds": took, "neighbour_slowest": slowest}
            row["resident_mb"] = server.resident_mb()
            rows.append(row)
            begins.setdefault(kind, begun)
            print(f"{f'{kind}: {name}'[:52]:52} {answer[:24]:24} {took:6.2f} {slowest:13.3f}", flush=True)
        ended = time.monotonic()
        during = neighbour.between(started + _ALONE_SECONDS, ended)
        times = pairwise([*begins.values(), ended])
        beside = {kind: _p99(neighbour.between(*span)) for kind, span in zip(begins, times, strict=True)}
        time.sleep(_MEMORY_SECONDS)
        after = server.resident_mb()
    results = {
        "requests": rows,
        "slowest_seconds": max(row["seconds"] for row in rows),
        "neighbour_p99_alone": _p99(alone),
        "neighbour_p99_beside": _p99(during),
        "neighbour_p99_beside_kind": beside,
        "neighbour_slowest": max(during),
        "resident_mb_before": memory,
        "resident_mb_after": after,
        "device": devices.describe(),
        "commit": records.commit(),
    }
    for kind, p99 in beside.items():
        ratio = p99 / results["neighbour_p99_alone"]
        print(f"During {kind}: the neighbour's p99 is {1e3 * p99:.0f} ms, {ratio:.1f} times its p99 alone.")
    print(
        f"{len(rows)} requests. The neighbour's p99: {1e3 * results['neighbour_p99_alone']:.0f} ms alone, "
        f"{1e3 * results['neighbour_p99_beside']:.0f} ms during them. "
        f"Memory: {memory:.0f} MB before, {after:.0f} after."
    )
    if FLAGS.json:
        records.write_json(Path(FLAGS.json), results)
    if FLAGS.out:
        with whole(Path(FLAGS.out)) as place:
            place.write_text(page(results))


def page(results: dict[str, Any]) -> str:
    """A Markdown page with the results of each kind of request, and of each request.

    Args:
        results: the results, as written to JSON.
    """
    rows = results["requests"]
    lines = [
        "# Hostile requests",
        "",
        f"{len(rows)} requests to `ml_lstm.serve`, sent one after the other. At the same time, a well-behaved caller "
        "repeatedly requests an adaptation and one answer by gRPC. Written by `python export/attack.py "
        "--model_base_path=MODELS/NAME --out=docs/attack.md` from [json](results/attack.json), which has the machine "
        "and the commit.",
        "",
        f"The 99th percentile of that caller's times was {_ms(results['neighbour_p99_alone'])} ms alone and "
        f"{_ms(results['neighbour_p99_beside'])} ms during the requests. The server used "
        f"{results['resident_mb_before']:.0f} MB before them and {results['resident_mb_after']:.0f} MB after them.",
        "",
        "| | requests | slowest answer, s | that caller's p99, ms | ratio to p99 alone |",
        "|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        p99 = results["neighbour_p99_beside_kind"][kind]
        seconds = [row["seconds"] for row in rows if row["kind"] == kind]
        times = p99 / results["neighbour_p99_alone"]
        lines.append(f"| {kind} | {len(seconds)} | {max(seconds):.1f} | {_ms(p99)} | {times:.1f} |")
    lines += ["", "| | answer | s | that caller's slowest answer meanwhile, ms | the server's memory afterwards, MB |"]
    lines.append("|---|---|---|---|---|")
    for row in rows:
        name, answer = (_cell(row[key]) for key in ("name", "answer"))
        seen = f"{row['seconds']:.2f} | {_ms(row['neighbour_slowest'])} | {row['resident_mb']:.0f}"
        lines.append(f"| {row['kind']}: {name} | {answer} | {seen} |")
    return "\n".join(lines) + "\n"


def _ms(seconds):
    return f"{1000 * seconds:.0f}"


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ")[:80]


def _p99(seconds):
    return float(np.percentile(seconds, 99)) if seconds else 0.0


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
