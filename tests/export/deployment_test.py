"""The files in export/ agree with each other and with TensorFlow Serving's messages, and the health check tells."""

import contextlib
import http.server
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from ml_lstm.serving import MAX_PIXELS

EXPORT = Path(__file__).parents[2] / "export"
NAME, GRPC, REST = "few_shot", 8500, 8501
METADATA = f"/v1/models/{NAME}/metadata"
METRICS = "/monitoring/prometheus/metrics"


def documents(name):
    return list(yaml.safe_load_all((EXPORT / name).read_text()))


def monitoring_config():
    """A message as monitoring_config.proto of TensorFlow Serving has it, which its Python package leaves out."""
    file = descriptor_pb2.FileDescriptorProto(name="monitoring_config.proto", package="monitoring", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL)
    prometheus.field.add(name="path", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".monitoring.PrometheusConfig",
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("monitoring.MonitoringConfig"))()


@pytest.fixture
def serving():
    return documents("compose.yaml")[0]["services"]["serving"]


@pytest.fixture
def kubernetes():
    return {document["kind"]: document for document in documents("kubernetes.yaml")}


@pytest.fixture
def container(kubernetes):
    (container,) = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"]
    return container


@pytest.fixture
def is_healthy(serving):
    """Maps a port to whether compose.yaml's health check, run by bash, finds a server in health there."""
    kind, *command = serving["healthcheck"]["test"]
    assert kind == "CMD"
    assert f"127.0.0.1/{REST}" in command[-1]

    def run(port):
        asked = [word.replace(f"127.0.0.1/{REST}", f"127.0.0.1/{port}").replace("$$", "$") for word in command]
        return subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=300).returncode == 0

    return run


@contextlib.contextmanager
def answering(statuses):
    """Yields the port of a server that answers GET with the status for the path, 404 for others."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()
            self.wfile.write(b"HTTP/1.1 200 OK, says the body\n")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_the_health_check_asks_for_a_version_that_is_available(is_healthy):
    with answering({METADATA: 200}) as port:
        assert is_healthy(port)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_server_without_an_available_version_is_unhealthy(is_healthy, status):
    with answering({METADATA: status, f"/v1/models/{NAME}": 200}) as port:
        assert not is_healthy(port)


def test_a_closed_port_is_unhealthy(is_healthy):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not is_healthy(port)


def test_a_server_that_never_answers_is_unhealthy_in_time(is_healthy, serving):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_healthy(server.getsockname()[1])
    # By itself, before Docker would give it up and perhaps leave it running: what is asked for, as a busy machine is
    # late by more than the second between the two.
    _, program, seconds, *_ = serving["healthcheck"]["test"]
    assert program == "timeout"
    assert int(seconds) < int(serving["healthcheck"]["timeout"].removesuffix("s"))


def test_serving_reads_its_model_configuration():
    text = (EXPORT / "models.config").read_text()
    (model,) = text_format.Parse(text, ModelServerConfig()).model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == (NAME, f"/models/{NAME}", "tensorflow")
    example = re.sub(r"# (?=model_version_policy|version_labels)", "", text)
    (model,) = text_format.Parse(example, ModelServerConfig()).model_config_list.config
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}
    assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)


def test_serving_reads_its_monitoring_configuration():
    prometheus = text_format.Parse((EXPORT / "monitoring.config").read_text(), monitoring_config()).prometheus_config
    assert prometheus.enable
    assert prometheus.path == METRICS


def test_compose_and_kubernetes_start_the_same_server(serving, container):
    assert container["image"] == serving["image"]
    assert container["command"] == serving["entrypoint"]
    # Kubernetes replaces the pods when models.config changes, so they need not read it again.
    assert set(serving["command"]) - set(container["args"]) == {"--model_config_file_poll_wait_seconds=60"}
    assert set(container["args"]) <= set(serving["command"])
    flags = dict(flag.removeprefix("--").split("=") for flag in container["args"])
    assert (flags["port"], flags["rest_api_port"]) == (str(GRPC), str(REST))
    for flag in ("model_config_file", "monitoring_config_file"):
        directory, name = flags[flag].rsplit("/", 1)
        assert directory == "/config"
        assert (EXPORT / name).is_file()


def test_both_turn_onednn_on(serving, container):
    assert serving["environment"] == {"TF_ENABLE_ONEDNN_OPTS": "1"}
    assert container["env"] == [{"name": "TF_ENABLE_ONEDNN_OPTS", "value": "1"}]


def test_batching_is_off(serving, container):
    assert not [flag for flag in serving["command"] + container["args"] if "batch" in flag]


def test_images_are_pinned():
    services = documents("compose.yaml")[0]["services"]
    for service in services.values():
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])


def test_compose_listens_on_loopback_only():
    services = documents("compose.yaml")[0]["services"]
    ports = [port for service in services.values() for port in service["ports"]]
    assert ports == [f"127.0.0.1:{port}:{port}" for port in (GRPC, REST, 9090)]
    assert not any("network_mode" in service for service in services.values())


def test_compose_mounts_models_and_configuration_read_only(serving):
    mounts = {mount["target"]: mount for mount in serving["volumes"]}
    assert mounts.keys() == {"/models", "/config"}
    assert all(mount["read_only"] for mount in mounts.values())
    assert mounts["/models"]["source"].startswith("${MODELS:?")
    assert mounts["/config"]["source"] == "."


def test_kubernetes_probes_ask_for_a_version_that_is_available(container):
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": GRPC, "rest": REST}
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": METADATA, "port": "rest"}


def test_kubernetes_parts_refer_to_each_other(kubernetes, container):
    pod = kubernetes["Deployment"]["spec"]["template"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/models"]["readOnly"] and mounts["/config"]["readOnly"]
    claim = volumes[mounts["/models"]["name"]]["persistentVolumeClaim"]["claimName"]
    (example,) = re.findall(r"```yaml\n(.*?)```", (EXPORT / "README.md").read_text(), re.DOTALL)
    assert yaml.safe_load(example)["metadata"]["name"] == claim
    (generated,) = documents("kustomization.yaml")[0]["configMapGenerator"]
    assert volumes[mounts["/config"]["name"]]["configMap"]["name"] == generated["name"]
    assert generated["files"] == ["models.config", "monitoring.config"]
    labels = pod["metadata"]["labels"]
    assert kubernetes["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert kubernetes["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert kubernetes["Service"]["spec"]["selector"] == labels
    assert {port["port"]: port["targetPort"] for port in kubernetes["Service"]["spec"]["ports"]} == {
        GRPC: "grpc",
        REST: "rest",
    }


def test_a_pod_gets_longer_to_end_than_it_waits(kubernetes, container):
    *_, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert kubernetes["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > int(seconds)


def test_prometheus_reads_the_server_s_metrics(kubernetes):
    prometheus = documents("prometheus.yml")[0]
    (job,) = prometheus["scrape_configs"]
    assert job["metrics_path"] == METRICS
    assert job["static_configs"] == [{"targets": [f"serving:{REST}"]}]
    annotations = kubernetes["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == METRICS
    assert annotations["prometheus.io/port"] == str(REST)
    (rules,) = prometheus["rule_files"]
    (group,) = documents(rules)[0]["groups"]
    expressions = " ".join(rule["expr"] for rule in group["rules"])
    assert set(re.findall(r'job="(\w+)"', expressions)) == {job["job_name"]}
    assert set(re.findall(r'model_name="(\w+)"', expressions)) == {NAME}


def test_the_readme_tells_the_limit_that_the_export_keeps():
    assert f"at most {MAX_PIXELS} pixels" in (EXPORT / "README.md").read_text()
