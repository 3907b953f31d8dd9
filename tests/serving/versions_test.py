"""The local server follows the versions in a model's directory, and no request is lost on the way."""

import shutil
import threading

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

CONFIG = """
model_config_list {{ config {{
  name: "m" base_path: "{}" model_platform: "tensorflow"
  model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
  version_labels {{ key: "stable" value: 1 }} version_labels {{ key: "canary" value: 2 }}
}} }}
"""


@pytest.fixture
def models(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "m" / "1")
    return tmp_path / "m"


def add(models, version, of):
    shutil.copytree(of, models / ".writing")
    (models / ".writing").rename(models / str(version))


class Callers:
    """Ask without a pause, over both protocols, while the server changes."""

    def __init__(self, server, inputs):
        self.versions, self.problems = [], []
        self._over = threading.Event()
        self._server, self._inputs = server, inputs
        self._threads = [threading.Thread(target=ask) for ask in (self._ask_rest, self._ask_grpc)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask_rest(self):
        inputs = {
            name: value.numpy().astype(str).tolist() if value.dtype == tf.string else value.numpy().tolist()
            for name, value in self._inputs.items()
        }
        with requests.Session() as session:
            while not self._over.is_set():
                try:
                    answer = session.post(
                        f"{self._server.url}/v1/models/m:predict", json={"inputs": inputs}, timeout=600
                    )
                    if answer.status_code != 200:
                        self.problems.append(answer.text)
                except requests.RequestException as problem:
                    self.problems.append(str(problem))

    def _ask_grpc(self):
        request = PredictRequest()
        request.model_spec.name = "m"
        for name, value in self._inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        with grpc.insecure_channel(self._server.grpc) as channel:
            predict = PredictionServiceStub(channel).Predict
            while not self._over.is_set():
                try:
                    self.versions.append(predict(request, timeout=600).model_spec.version.value)
                except grpc.RpcError as problem:
                    self.problems.append(problem.details())


@pytest.mark.slow
def test_versions_come_and_go_without_a_lost_request(start_server, models, warm_up):
    server = start_server(f"--model_base_path={models}", "--file_system_poll_wait_seconds=0.1")
    with Callers(server, warm_up["serving_default"]) as callers:
        add(models, 2, models / "1")
        server.wait_for("version 2 available")
        server.wait_for("version 1 removed")
        # A half-written copy does not load, is told once, and is loaded once it is whole.
        (models / "3").mkdir()
        shutil.copy(models / "2" / "saved_model.pb", models / "3")
        server.wait_for("version 3 cannot be loaded")
        statuses = requests.get(f"{server.url}/v1/models/m", timeout=600).json()["model_version_status"]
        states = {status["version"]: (status["state"], status["status"]["error_code"]) for status in statuses}
        assert states == {"3": ("END", "UNKNOWN"), "2": ("AVAILABLE", "OK"), "1": ("END", "OK")}
        shutil.copytree(models / "2", models / "3", dirs_exist_ok=True)
        server.wait_for("version 2 removed")
        shutil.rmtree(models)
        server.wait_for("No such file")
    assert callers.problems == []
    assert set(callers.versions) == {1, 2, 3}
    assert callers.versions == sorted(callers.versions)
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_a_configuration_of_tensorflow_serving_is_followed(start_server, models, tmp_path):
    add(models, 2, models / "1")
    add(models, 3, models / "1")
    (tmp_path / "models.config").write_text(CONFIG.format(models))
    server = start_server(f"--model_config_file={tmp_path / 'models.config'}")

    def metadata(path):
        answer = requests.get(f"{server.url}/v1/models/m{path}/metadata", timeout=600)
        return answer.json()["model_spec"]["version"] if answer.ok else answer.status_code

    paths = "/labels/stable", "/labels/canary", "/versions/1", "/versions/3", ""
    assert [metadata(path) for path in paths] == ["1", "2", "1", 404, "2"]
    assert server.stop() == 0
