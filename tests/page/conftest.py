"""A browser, and a server with tiny models for it."""

import json
import shutil

import keras
import pytest

from ml_lstm.cells import MetaLSTMCell
from ml_lstm.episode import Problem
from ml_lstm.learners import conv4
from ml_lstm.methods import MetaLSTM, PixelNearestNeighbour
from ml_lstm.serving import export_version
from tests.page.person import PATIENCE
from tests.serving.conftest import Server

# --disable-quic and what follows keep it from the network.
_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def browser():
    """Chromium, as Debian has it.

    For a module only: while it is there, Playwright has an event loop run in this thread, beside which no other can.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.skip("Playwright is not installed: pip install '.[dev]'")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("There is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHROMIUM, timeout=3 * PATIENCE)
        yield browser
        browser.close()


def _drawings():
    """Tells drawings apart by their pixels: the nearest wins, and no training is needed."""
    shape = (24, 24, 1)
    card = {
        "image_shape": shape,
        "flags": {"dataset": "glyphs"},
        "trained_on": "Nothing: it compares pixels.",
        "figures": [{"dataset": "glyphs", "n_way": 5, "k_shot": 1, "accuracy": 0.5}],
        "bad_at": ["Everything but tests.", "Faces."],
        "limits": ["Any number of classes."],
    }
    return PixelNearestNeighbour(Problem(shape, 5, None, [0.9], [0.3]), centred_pixels=True), card


def _photographs():
    shape = (20, 20, 3)
    card = {"image_shape": shape, "flags": {"dataset": "cifar_fs"}}
    mean = [0.5, 0.5, 0.5]
    return PixelNearestNeighbour(Problem(shape, 5, None, mean, mean), centred_pixels=True), card


def _learner():
    """Not trained, but with gates, and a head for three classes."""
    keras.utils.set_random_seed(0)
    shape = (16, 16, 1)
    cell = MetaLSTMCell(hidden_units=2, input_gate_bias=(-2, -1))
    method = MetaLSTM(conv4(shape, 3, filters=4), Problem(shape, 3, None, [0.8], [0.3]), cell, inner_steps=2)
    return method, {"image_shape": shape, "flags": {"dataset": "glyphs"}}


def _exported(model, path):
    """Without warm-up requests: a server takes seconds for them, and the page asks for few signatures."""
    method, card = model
    card = {"most_classes": method.most_classes} | card
    version = export_version(method, card["image_shape"], str(path), json.dumps(card))
    (version / "assets.extra" / "tf_serving_warmup_requests").unlink()


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A directory with the directories of models."""
    path = tmp_path_factory.mktemp("models")
    _exported(_drawings(), path / "drawings")
    _exported(_photographs(), path / "photographs")
    _exported(_learner(), path / "learner")
    return path


@pytest.fixture(scope="session")
def export_again(models):
    """Exports the next version of `drawings`."""
    return lambda: _exported(_drawings(), models / "drawings")


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    """Serves all models, `drawings` first."""
    path = tmp_path_factory.mktemp("server")
    names = ("drawings", "photographs", "learner")
    entries = "".join(f'config {{ name: "{name}" base_path: "{models / name}" }} ' for name in names)
    (path / "models.config").write_text(f"model_config_list {{ {entries} }}")
    server = Server(path / "log", f"--model_config_file={path / 'models.config'}")
    yield server
    server.stop()


@pytest.fixture
def new_page(browser, server):
    """Opens the page, `options` of the browser's context; whatever is wrong in its console fails the test."""
    contexts, wrong = [], []

    def open_page(url=server.url, **options):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if _is_fault(message) else None)
        page.goto(url)
        page.wait_for_selector(".card")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def _is_fault(message):
    """Chromium notes requests that failed, which tests bring about, as errors too."""
    return message.type in ("error", "warning") and "Failed to load resource" not in message.text


@pytest.fixture
def page(new_page):
    """The page as it opens."""
    return new_page()
