"""The method in CONTRIBUTING.md works as it stands: its file, its line, its test and its commands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FILES = dict(re.findall(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", TEXT, re.DOTALL))
SMALL = ("--image_size=16", "--filters=4", "--n_query=2", "--validation_interval=8", "--validation_episodes=4")

# Runs modules with their arguments, one after another in forks, as TensorFlow's import is most of what each costs.
RUN = """
import json, os, runpy, sys
import ml_lstm.runs.settings
for arguments in json.load(sys.stdin):
    child = os.fork()
    if not child:
        sys.argv = arguments
        try:
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code or 0)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"failed: {arguments}")
"""


@pytest.fixture
def checkout(tmp_path):
    """The package with what CONTRIBUTING.md has done to it."""
    shutil.copytree(ROOT / "ml_lstm", tmp_path / "ml_lstm", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (line, entry) = re.search(r"```python\n(from ml_lstm\.methods\.\w+ import \w+)\n +(\".*,)\n```", TEXT).groups()
    methods = tmp_path / "ml_lstm" / "methods" / "__init__.py"
    text = methods.read_text().replace("\n\nMETHODS = {\n", f"\n{line}\n\nMETHODS = {{\n    {entry}\n")
    methods.write_text(text)
    return tmp_path


def test_it_has_a_method_and_its_test():
    assert sorted(FILES) == ["ml_lstm/methods/soft_neighbours.py", "tests/methods/soft_neighbours_test.py"]


@pytest.mark.slow
def test_the_method_in_five_minutes_works_as_it_stands(checkout):
    lines = map(shlex.split, re.findall(r"^    python -m (ml_lstm\.(?:train|evaluate|export) .*)", TEXT, re.MULTILINE))
    commands = [[word for word in line if not word.startswith("--episodes=")] for line in lines]
    assert [command[0] for command in commands] == ["ml_lstm.train", "ml_lstm.evaluate", "ml_lstm.export"]
    commands[0] += ["--episodes=8", *SMALL]
    commands[1] += ["--episodes=2"]
    interface = str(ROOT / "tests" / "methods" / "interface_test.py")
    for tests in (["tests"], [interface, "-k", "soft_neighbours"]):
        commands.append(["pytest", "--import-mode=importlib", "-p", "no:cacheprovider", *tests])
    result = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(commands),
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    own, promised = map(int, re.findall(r"(\d+) passed", result.stdout))
    assert own == 1 and promised > 9
    flags = json.loads((checkout / "runs/mine/flags.json").read_text())["flags"]
    assert (flags["method"], flags["temperature"]) == ("soft_neighbours", 0.5)
    assert (checkout / "models/mine/1/saved_model.pb").exists()
