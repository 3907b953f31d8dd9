"""A stranger's method and update rule: one file each, one line each, and every command knows them and their options."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

_REPOSITORY = Path(__file__).parents[2]

_MODULE = '''
"""Two components, as a stranger writes them."""

import keras
import tensorflow as tf

from ml_lstm.cells import CELLS, SGDCell, UpdateInputs
from ml_lstm.cells.sgd import SGDState
from ml_lstm.methods import METHODS, PrototypicalNetworks
from ml_lstm.options import Count, Rate


@keras.saving.register_keras_serializable("stranger")
class Tempered(PrototypicalNetworks):
    """Prototypes at a temperature.

    Args:
        temperature: that logits are divided by.
        power: what they are raised to, times.
        **shared: see `PrototypicalNetworks`.
    """

    def __init__(self, learner, problem, *, temperature: Rate = 2.0, power: Count = 1, **shared):
        super().__init__(learner, problem, **shared)
        self.temperature, self.power = temperature, power

    def compare(self, adaptation, features, training):
        return self.power * super().compare(adaptation, features, training) / self.temperature


@keras.saving.register_keras_serializable("stranger")
class Decaying(SGDCell):
    """Gradient descent that forgets.

    Args:
        weight_decay: part of a parameter that a step takes away.
        **shared: see `SGDCell`.
    """

    def __init__(self, *, weight_decay: Rate = 0.01, **shared):
        super().__init__(**shared)
        self.weight_decay = weight_decay

    def call(self, inputs, states):
        parameters, _ = super().call(UpdateInputs(*inputs), SGDState(*states))
        parameters -= self.weight_decay * states[0]
        return parameters, SGDState(parameters)


METHODS["tempered"] = Tempered
CELLS["decaying"] = Decaying
'''

_RUN = """
import sys, runpy, stranger
sys.argv[0] = sys.argv.pop(1)
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
_SMALL = ("--dataset=glyphs", "--image_size=16", "--filters=4", "--n_query=2", "--validation_episodes=4")
_SMALL += ("--validation_interval=20", "--episodes=20")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """`run(command, *flags)`: how a command ends that knows the stranger's module."""
    place = tmp_path_factory.mktemp("stranger")
    (place / "stranger.py").write_text(_MODULE)
    environment = os.environ | {"PYTHONPATH": f"{place}{os.pathsep}{_REPOSITORY}"}

    def start(command, *flags):
        arguments = [sys.executable, "-c", _RUN, f"ml_lstm.{command}", *flags]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(arguments, env=environment, text=True, **pipes)

    def run(command, *flags):
        process = start(command, *flags)
        out, err = process.communicate(timeout=2400)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    run.start = start
    return run


def _served(run, models):
    """The predictions of a server for one query, asked of it by REST."""
    server = run.start("serve", f"--model_base_path={models}", "--model_name=m", "--rest_api_port=0", "--port=0")
    try:
        said = []
        while not (ready := re.search(r"REST at (\S+),", line := server.stderr.readline())):
            said.append(line)
            assert line, "".join(["the server ended before it was ready:\n", *said])
        url = ready[1]
        dark, light = np.zeros((2, 16, 16, 1)).astype(int).tolist(), np.full((2, 16, 16, 1), 250).tolist()
        inputs = {"support_images": dark + light, "support_labels": [*"ddll"], "query_images": dark[:1]}
        answer = requests.post(f"{url}/v1/models/m:predict", json={"inputs": inputs}, timeout=6000)
        assert answer.status_code == 200, answer.text
        return answer.json()["outputs"]["predictions"]
    finally:
        server.terminate()
        server.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "recorded", "another"),
    [
        (["--method=tempered", "--temperature=3", "--power=2"], {"temperature": 3.0, "power": 2}, "--temperature=4"),
        (["--cell=decaying", "--weight_decay=0.1"], {"cell": "decaying", "weight_decay": 0.1}, "--weight_decay=0.2"),
    ],
    ids=["method", "cell"],
)
def test_every_command_knows_it(own, recorded, another, run, tmp_path):
    place = tmp_path / "run"
    train = ("train", *_SMALL, *own, f"--run_dir={place}")
    trained = run(*train)
    assert trained.returncode == 0, trained.stderr
    flags = json.loads((place / "flags.json").read_text())["flags"]
    assert {name: flags[name] for name in recorded} == recorded
    resumed = run(*train, "--episodes=40")
    assert resumed.returncode == 0 and "Resuming from episode 20 of 40" in resumed.stdout, resumed
    refused = run(*train, another)
    assert refused.returncode == 1 and "belongs to another configuration" in refused.stderr
    evaluated = run("evaluate", f"--run_dir={place}", "--episodes=4")
    assert evaluated.returncode == 0, evaluated.stderr
    exported = run("export", f"--run_dir={place}", f"--export_dir={tmp_path / 'models'}")
    assert exported.returncode == 0, exported.stderr
    for folder, names in (("support/dark", [0, 1]), ("support/light", [2, 3]), ("query", [4])):
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            Image.fromarray(np.full((20, 20), 60 * name, np.uint8)).save(tmp_path / folder / f"{name}.png")
    answered = run(
        "adapt",
        f"--saved_model={tmp_path / 'models' / '1'}",
        f"--support={tmp_path / 'support'}",
        f"--query={tmp_path / 'query'}",
    )
    assert answered.returncode == 0, answered.stderr
    assert "4.png" in answered.stdout
    assert len(_served(run, tmp_path / "models")) == 1


def test_help_tells_its_options_with_default_and_taker_and_others_refuse_them(run, tmp_path):
    words = " ".join(run("train", "--helpfull").stdout.split())
    assert "--temperature: That logits are divided by. Default: 2.0. Taken by --method=tempered." in words
    assert (
        "--weight_decay: Part of a parameter that a step takes away. Default: 0.01. Taken by --cell=decaying." in words
    )
    for flag, option, taker in (
        ("--method=prototypical", "--temperature=3", "--method=tempered"),
        ("--cell=meta_lstm", "--weight_decay=0.1", "--cell=decaying"),
    ):
        refused = run("train", flag, option, f"--run_dir={tmp_path / 'run'}")
        assert refused.returncode == 2
        name = option.partition("=")[0]
        assert f"{name} is not for {flag}; it is for {taker}: leave it out." in refused.stderr, refused.stderr
