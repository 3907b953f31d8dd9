"""`serve --model` exports a model of the zoo once, keeps it by what it is made of, and serves it."""

import os
import re
import shutil
import signal

import pytest
import requests

from ml_lstm import zoo
from ml_lstm.errors import UserError
from ml_lstm.zoo import kept_exports
from tests import forks

pytestmark = pytest.mark.slow_unless(run_and_model=["meta_lstm"])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ml_lstm" / "exports"


@pytest.fixture
def serve():
    """Starts a server of a model; returns its address, and what it has written until it was ready."""
    servers = []

    def start(model):
        servers.append(forks.start("ml_lstm.serve", f"--model={model}", "--rest_api_port=0", "--port=0"))
        written = ""
        for line in servers[-1].stderr:
            written += line.decode()
            if match := re.search(r"Open (http://\S+)/$", line.decode().rstrip()):
                return match[1], written
        return pytest.fail(written)

    yield start
    for server in servers:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=600)
        assert server.returncode == 0


@pytest.mark.slow
def test_a_model_is_exported_once_and_served_with_its_card(calibrated, cache, serve):
    url, written = serve(calibrated.path)
    assert "calibrated: exporting to " in written
    (kept,) = cache.glob("calibrated/*")
    assert zoo.kept_export(str(calibrated.path)) == kept
    assert [path.name for path in kept.iterdir()] == ["1"]
    models = requests.get(f"{url}/v1/models", timeout=600).json()["models"]
    assert [(model["name"], model["model_version_status"][0]["state"]) for model in models] == [
        ("calibrated", "AVAILABLE")
    ]
    metadata = requests.get(f"{url}/v1/models/calibrated/metadata", timeout=600).json()["metadata"]
    card, signatures = metadata["model_card"], metadata["signature_def"]["signature_def"]
    assert card == calibrated.card
    shown = ("image_shape", "most_classes", "inner_steps", "familiarity", "trained_on", "figures", "bad_at", "limits")
    assert card.keys() >= {*shown}
    assert "familiarity" in signatures["adapt_and_predict_encoded"]["outputs"]
    assert ("explain_encoded" in signatures) == (card["inner_steps"] is not None)


@pytest.fixture
def counted(monkeypatch):
    """Names of what is exported, by something quicker."""
    exported = []

    def export(entry, directory):
        exported.append(entry.name)
        (directory / "1").mkdir(parents=True)
        (directory / "1" / "saved_model.pb").touch()

    monkeypatch.setattr(kept_exports, "_export", export)
    return exported


def test_whatever_decides_an_export_has_another_one_made(calibrated, cache, counted, tmp_path, monkeypatch):
    path = shutil.copytree(calibrated.path, tmp_path / "mine")
    first = zoo.kept_export(str(path))
    assert zoo.kept_export(os.path.relpath(path)) == first
    assert counted == ["mine"]
    for name in ("card.json", "weights.weights.h5", "flags.json"):
        with open(path / name, "ab") as file:
            file.write(b"\n")
        zoo.kept_export(str(path))
    monkeypatch.setattr(kept_exports.tf, "__version__", "another")
    zoo.kept_export(str(path))
    package = tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text("1")
    monkeypatch.setattr(kept_exports, "_PACKAGE", package)
    zoo.kept_export(str(path))
    assert counted == ["mine"] * 6
    assert len([*cache.glob("mine/*")]) == 6


def test_what_an_export_that_was_killed_left_is_no_export(calibrated, cache, counted):
    kept = zoo.kept_export(str(calibrated.path))
    shutil.rmtree(kept / "1")
    (kept / ".writing-here-1").mkdir()
    (kept / ".writing-here-1" / "saved_model.pb").touch()
    assert zoo.kept_export(str(calibrated.path)) == kept
    assert len(counted) == 2


def test_what_an_export_refuses_is_said_in_its_words(calibrated, cache, tmp_path):
    path = shutil.copytree(calibrated.path, tmp_path / "mine")
    (path / "weights.weights.h5").write_bytes(b"")
    with pytest.raises(UserError, match=r"^\S*/mine/weights.weights.h5 is damaged, or of another version"):
        zoo.kept_export(str(path))
    assert not [*cache.glob("mine/*/1")]
