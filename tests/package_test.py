"""Wheel and sdist of both distributions, built of what git tracks and used where there is no checkout.

`make test-package` installs what they need from the registry; without --install_dependencies that is lent by the
environment of the tests.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

import ml_lstm

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def run(*words, **more):
    """Runs a program to its end, out of the checkout's reach; its stdout and stderr together."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    result = subprocess.run(list(map(str, words)), env=environment, timeout=3600, **streams | more)
    assert result.returncode == 0, result.stdout
    return result.stdout


def new_environment(path) -> Path:
    """The programs of a new virtual environment."""
    run(sys.executable, "-m", "venv", path)
    return path / "bin"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A directory of wheels and sdists; the wheels are made of what is in the sdists."""
    tracked = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    source = tmp_path_factory.mktemp("source")
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    programs, place = new_environment(tmp_path_factory.mktemp("builder")), tmp_path_factory.mktemp("dist")
    run(programs / "pip", "install", "build")
    for folder in (source, source / "export" / "client"):
        run(programs / "python", "-m", "build", "--outdir", place, folder)
    return place


def wheel(built, name) -> Path:
    (found,) = built.glob(f"{name}-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory, pytestconfig):
    """The programs of an environment that `ml_lstm` alone is installed in, with what it says that it needs."""
    place = tmp_path_factory.mktemp("installed")
    programs = new_environment(place)
    if pytestconfig.getoption("install_dependencies"):
        run(programs / "pip", "install", wheel(built, "ml_lstm"))
    else:
        run(programs / "pip", "install", "--no-deps", wheel(built, "ml_lstm"))
        (packages,) = place.glob("lib/python*/site-packages")
        (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


@pytest.fixture(scope="module")
def client(built, tmp_path_factory):
    """The programs of an environment that the client alone is installed in."""
    programs = new_environment(tmp_path_factory.mktemp("client"))
    run(programs / "pip", "install", wheel(built, "ml_lstm_client"))
    return programs


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A directory that is no checkout, with images to learn from and to ask about."""
    place = tmp_path_factory.mktemp("here")
    for folder, shade in (("support/dark", 0), ("support/light", 250), ("query", 10)):
        (place / folder).mkdir(parents=True)
        Image.fromarray(np.full((20, 20), shade, np.uint8)).save(place / folder / "image.png")
    return place


ASKED = ("--support=support", "--query=query")


def test_the_wheel_holds_what_the_package_needs_and_nothing_else(built):
    names = set(zipfile.ZipFile(wheel(built, "ml_lstm")).namelist())
    files = {path.relative_to(ROOT) for path in (ROOT / "ml_lstm").rglob("*") if "__pycache__" not in path.parts}
    expected = {str(path) for path in files if (ROOT / path).is_file()}
    expected |= {f"ml_lstm/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.flags")}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"entry_points.txt", "licenses/LICENSE"} <= {name.partition(".dist-info/")[2] for name in names}


def test_the_sdist_holds_what_it_is_installed_and_cited_by(built):
    (archive,) = built.glob("ml_lstm-*.tar.gz")
    with tarfile.open(archive) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"configs/base/omniglot.flags", "setup.py", "LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff"} <= names


def test_installed_commands_work_where_there_is_no_checkout(installed, here, pytestconfig):
    def command(*words, **more):
        return run(installed / "ml-lstm", *words, cwd=here, **more)

    assert command("--version").splitlines() == [f"ml_lstm {ml_lstm.__version__}"]
    small = ("--episodes=40", "--validation_interval=40", "--validation_episodes=4")
    said = command("train", "--flagfile=configs/quickstart.flags", "--run_dir=RUN", *small)
    assert "python -m ml_lstm.evaluate --run_dir=RUN" in said
    assert "accuracy" in command("evaluate", "--run_dir=RUN", "--episodes=4")
    (record,) = (here / "RUN").glob("evaluate-*.json")
    assert '"commit": null' in record.read_text()
    command("export", "--run_dir=RUN", "--export_dir=models/m")
    assert "image.png" in command("adapt", "--saved_model=models/m/1", *ASKED)
    if pytestconfig.getoption("install_dependencies"):
        listed = run(installed / "pip", "list")
        assert "tensorflow " in listed and "tensorflow-datasets" not in listed and "starlette" not in listed


def test_an_installed_server_answers_an_installed_client(built, installed, client, here, pytestconfig):
    if pytestconfig.getoption("install_dependencies"):
        run(installed / "pip", "install", f"{wheel(built, 'ml_lstm')}[serve]")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["XDG_CACHE_HOME"] = str(here / "cache")
    words = (installed / "ml-lstm", "serve", "--model=characters", "--rest_api_port=0", "--port=0")
    server = subprocess.Popen(words, cwd=here, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        said = []
        while not (ready := re.search(r"REST at (\S+),", line := server.stderr.readline())):
            said.append(line)
            assert line, "".join(said)
        url = ready[1]
        assert "<html" in requests.get(f"{url}/", headers={"Accept": "text/html"}, timeout=600).text
        told = run(client / "ml_lstm_client", f"--url={url}", "--model=characters", *ASKED, cwd=here)
        assert re.search(r"image\.png +dark", told), told
    finally:
        server.terminate()
        server.communicate(timeout=600)
    assert "tensorflow" not in run(client / "pip", "list")
