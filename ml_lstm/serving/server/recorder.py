"""The server's records: one log line per request, and metrics for Prometheus."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import grpc
import prometheus_client
from absl import logging
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ml_lstm.serving.server.store import ModelStore

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclasses.dataclass
class Record:
    """One request, filled in while it is answered.

    Attributes:
        call: the call, in the protocol's terms.
        caller: its address.
        status: the status, in the protocol's terms.
        model, version, signature: of the served model; empty if the request failed before they were known.
        images: number of support images and queries.
        problem: the error message.
    """

    call: str
    caller: str
    status: str = grpc.StatusCode.UNKNOWN.name
    model: str = ""
    version: str = ""
    signature: str = ""
    images: int = 0
    problem: str = ""


class Recorder:
    """Logs and counts requests.

    Args:
        store: the models; the metrics include its available versions.
    """

    def __init__(self, store: ModelStore):
        prometheus_client.disable_created_metrics()  # these would be a second series for each metric
        self._registry = prometheus_client.CollectorRegistry()
        self._registry.register(_AvailableVersions(store))
        prometheus_client.ProcessCollector(registry=self._registry)
        labels = ["protocol", "model", "signature"]
        self._requests = prometheus_client.Counter(
            "ml_lstm_requests", "Requests answered, including errors.", [*labels, "status"], registry=self._registry
        )
        self._seconds = prometheus_client.Histogram(
            "ml_lstm_request_seconds",
            "Time from a request to its answer.",
            labels,
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._images = prometheus_client.Counter(
            "ml_lstm_images", "Support images and queries received.", labels, registry=self._registry
        )
        self._in_flight = prometheus_client.Gauge(
            "ml_lstm_requests_in_flight", "Requests being answered.", ["protocol"], registry=self._registry
        )

    @contextlib.contextmanager
    def request(self, protocol: str, call: str, caller: str) -> Iterator[Record]:
        """A context that yields a record of a request, measures its time, and logs and counts it at the end."""
        record = Record(call, caller)
        started = time.perf_counter()
        try:
            with self._in_flight.labels(protocol).track_inprogress():
                yield record
        finally:
            seconds = time.perf_counter() - started
            labels = protocol, record.model, record.signature
            self._requests.labels(*labels, record.status).inc()
            self._seconds.labels(*labels).observe(seconds)
            self._images.labels(*labels).inc(record.images)
            logging.info("%s", _line(protocol, record, seconds))

    def metrics(self) -> tuple[bytes, str]:
        """The metrics in Prometheus's format, and their media type."""
        return prometheus_client.generate_latest(self._registry), prometheus_client.CONTENT_TYPE_LATEST


class _AvailableVersions(Collector):
    def __init__(self, store):
        self._store = store

    def collect(self):
        gauge = GaugeMetricFamily(
            "ml_lstm_model_version_available", "1 for a version that is available.", labels=["model", "version"]
        )
        for model, version in self._store.available():
            gauge.add_metric([model, str(version)], 1)
        yield gauge


def _line(protocol, record, seconds):
    words = [record.caller, protocol, record.call, record.status, f"{1e3 * seconds:.1f} ms"]
    if record.signature:
        words += [f"{record.model}/{record.version}", record.signature, f"{record.images} images"]
    if record.problem:
        words.append(record.problem)
    # Callers choose some of the text: it must not start a new line or control a terminal.
    return " ".join(words).encode("unicode_escape").decode()
