"""The served models and versions, by TensorFlow Serving's configuration; follows changes of the directories."""

import gc
import os
import re
import threading
import time
from pathlib import Path

import grpc
from absl import logging
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse, ModelVersionStatus
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.status_pb2 import StatusProto
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from ml_lstm.errors import UserError
from ml_lstm.serving.refusals import Refusal, invalid, shortened
from ml_lstm.serving.server.version import Version


class ModelStore:
    """The configured models.

    A new version is served when it is loaded and warmed up. Only then is an old one removed, after its last request.

    Args:
        config: TensorFlow Serving's configuration; `name`, `base_path`, `model_version_policy` and `version_labels` of
            each model are used.

    Raises:
        UserError: if the configuration has no models, a model without name or directory, or a name twice.
    """

    def __init__(self, config: ModelServerConfig):
        problem = _problem(config)
        if problem:
            raise UserError(f"The model configuration {problem}.")
        self._models = {model.name: _Model(model) for model in config.model_config_list.config}
        # A request to reload the configuration cannot load other directories.
        self._base_paths = {(model.name, model.base_path) for model in config.model_config_list.config}
        self._changing = threading.Lock()

    def refresh(self) -> None:
        """Loads versions that should be served and are not, then removes those that should not; takes seconds."""
        with self._changing:
            changes = [model.refreshed() for model in self._models.values()]
        if any(changes):
            # A removed version is part of reference cycles, so it is freed by the collector. The remaining objects are
            # frozen until the next change: scanning all of TensorFlow's objects delayed single requests by a sixth of a
            # second.
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    def reconfigure(self, config: ModelServerConfig) -> None:
        """Changes version policies and labels of the models with which the server was started.

        Raises:
            Refusal: if `config` changes anything else; then nothing is changed.
        """
        problem = _problem(config)
        if problem:
            raise invalid(f"The model configuration {problem}.")
        models = config.model_config_list.config
        if {(model.name, model.base_path) for model in models} != self._base_paths:
            served = ", ".join(f"{name} from {base_path}" for name, base_path in sorted(self._base_paths))
            raise Refusal(
                grpc.StatusCode.PERMISSION_DENIED,
                f"A running server can only change version policies and labels; it serves {served}. To serve other "
                "models, restart it.",
            )
        with self._changing:
            for model in models:
                self._models[model.name].config = model
        self.refresh()

    def names(self) -> list[str]:
        """The names of all models, with or without an available version."""
        return sorted(self._models)

    def resolve(self, spec: ModelSpec) -> Version:
        """The version that a request asks for.

        Raises:
            Refusal: if it is not served.
        """
        return self._model(spec).resolve(spec)

    def status(self, spec: ModelSpec) -> GetModelStatusResponse:
        """The states of a model's versions, the newest first, or of the version that `spec` names.

        Raises:
            Refusal: if the model or version does not exist.
        """
        statuses = self._model(spec).chosen_statuses(spec)
        return GetModelStatusResponse(model_version_status=statuses)

    def available(self) -> list[tuple[str, int]]:
        """Names and numbers of the versions that are available now."""
        return [(name, number) for name, model in self._models.items() for number in sorted(model.versions)]

    def _model(self, spec):
        try:
            return self._models[spec.name]
        except KeyError:
            raise Refusal(
                grpc.StatusCode.NOT_FOUND,
                f"There is no model {shortened(spec.name)!r}: this server has {', '.join(self.names())}.",
            ) from None


class _Model:
    """One model's versions; `versions` are the available ones."""

    def __init__(self, config: ModelConfig):
        self.config = config
        self.versions: dict[int, Version] = {}
        self._statuses: dict[int, ModelVersionStatus] = {}
        self._failed = {}

    def resolve(self, spec):
        versions = self.versions
        number = self._number(spec)
        if number is None and versions:
            number = max(versions)
        if number not in versions:
            wanted = "" if number is None else f" {number}"
            available = ", ".join(map(str, sorted(versions))) or "none"
            raise self._not_found(f"has no version{wanted} that is available; available: {available}")
        return versions[number]

    def chosen_statuses(self, spec):
        number = self._number(spec)
        if number is None:
            return [status for _, status in sorted(self._statuses.items(), reverse=True)]
        if number not in self._statuses:
            raise self._not_found(f"has no version {number}")
        return [self._statuses[number]]

    def _number(self, spec):
        """The version that `spec` names by number or label; None if it names none."""
        if spec.HasField("version"):
            return spec.version.value
        if not spec.version_label:
            return None
        labels = self.config.version_labels
        if spec.version_label not in labels:  # indexing a proto's map would add the key
            raise self._not_found(
                f"has no label {shortened(spec.version_label)!r}; labels: {', '.join(sorted(labels)) or 'none'}"
            )
        return labels[spec.version_label]

    def _not_found(self, problem):
        return Refusal(grpc.StatusCode.NOT_FOUND, f"The model {self.config.name} {problem}.")

    def refreshed(self):
        """Calls `refresh`. An error does not affect other models, and loaded versions are still served."""
        try:
            return self.refresh()
        except Exception:  # a directory may disappear at any time
            logging.exception("%s: while checking for new versions", self.config.name)
            return False

    def refresh(self):
        """Returns whether anything has changed."""
        directories, before = self._directories(), self.versions
        wanted = self._load_wanted(directories)
        while wanted and not self.versions:  # tries older ones if the newest cannot be loaded
            directories = {number: directory for number, directory in directories.items() if number not in wanted}
            wanted = self._load_wanted(directories)
        if wanted & self.versions.keys():
            for number in sorted(self.versions.keys() - wanted):
                self._drop(number)
        return self.versions is not before

    def _load_wanted(self, directories):
        wanted = self._wanted(directories)
        for number in sorted(wanted - self.versions.keys()):
            self._load(number, directories[number])
        return wanted

    def _directories(self):
        try:
            entries = list(Path(self.config.base_path).iterdir())
        except OSError as error:
            # Loaded versions are still served.
            logging.log_every_n_seconds(logging.WARNING, "%s: %s", 60, self.config.base_path, error.strerror)
            return {}
        # Like TensorFlow Serving: versions are int64. Entries that cannot be read, such as circular links, are ignored.
        numbered = [entry for entry in entries if re.fullmatch(r"[0-9]{1,18}", entry.name) and os.path.isdir(entry)]
        return {int(entry.name): entry for entry in numbered}

    def _wanted(self, directories):
        policy = self.config.model_version_policy
        if policy.HasField("all"):
            return set(directories)
        if policy.HasField("specific"):
            return set(policy.specific.versions) & directories.keys()
        return set(sorted(directories)[-max(policy.latest.num_versions, 1) :])

    def _load(self, number, directory):
        # The model may still be being copied: it is loaded again when its files have changed.
        contents = _contents(directory)
        if self._failed.get(number) == contents:
            return
        self._set(number, ModelVersionStatus.LOADING)
        logging.info("%s: loading version %d", self.config.name, number)
        started = time.monotonic()
        try:
            version = Version(directory)
        except Exception as error:  # a broken model must not stop the others
            self._failed[number] = contents
            problem = " ".join(str(error).split()) or type(error).__name__
            self._set(number, ModelVersionStatus.END, problem)
            logging.error("%s: version %d cannot be loaded: %s", self.config.name, number, problem)
            return
        self._failed.pop(number, None)
        self.versions = self.versions | {number: version}
        self._set(number, ModelVersionStatus.AVAILABLE)
        logging.info("%s: version %d available after %.1f s", self.config.name, number, time.monotonic() - started)

    def _drop(self, number):
        # Running requests still use it; its memory is freed after the last one.
        self.versions = {other: version for other, version in self.versions.items() if other != number}
        self._set(number, ModelVersionStatus.END)
        logging.info("%s: version %d removed", self.config.name, number)

    def _set(self, number, state, problem=""):
        code = grpc.StatusCode.UNKNOWN if problem else grpc.StatusCode.OK
        problem = StatusProto(error_code=code.value[0], error_message=problem)
        status = ModelVersionStatus(version=number, state=state, status=problem)
        self._statuses = self._statuses | {number: status}


def _contents(directory):
    """Modification time of each file below a directory; None for a file that cannot be read, such as a broken link."""
    changed = {}
    for folder, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(folder, name)
            try:
                changed[path] = os.stat(path).st_mtime_ns
            except OSError:
                changed[path] = None
    return changed


def _problem(config):
    models = config.model_config_list.config
    if not models:
        return "has no model: give model_config_list { config { name: ... base_path: ... } }"
    if not all(model.name and model.base_path for model in models):
        return "has a model without name or base_path"
    if len({model.name for model in models}) < len(models):
        return "has two models with the same name"
    return None
