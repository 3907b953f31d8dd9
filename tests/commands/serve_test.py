"""Tests of `serve`: from a trained run to the same accuracy over REST, and one line for what is wrong."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

_EXPORT = Path(__file__).parents[2] / "export"
_EPISODES = "--episodes=40"


def _serve(commands, *flags, **options):
    return commands.run("serve", "--rest_api_port=0", "--port=0", *flags, **options)


@pytest.fixture
def evaluate_served(commands, tmp_path):
    """Serves `models/m`, sends episodes of a run over REST, from another process; returns what that wrote."""

    def evaluate(run, *flags):
        server = commands.start(
            "serve", f"--model_base_path={tmp_path / 'models' / 'm'}", "--rest_api_port=0", "--port=0"
        )
        try:
            url = next(match[1] for line in server.stderr if (match := re.search(r"REST at (\S+),", line.decode())))
            command = [
                sys.executable,
                str(_EXPORT / "evaluate_served.py"),
                f"--run_dir={run}",
                f"--url={url}",
                "--model=m",
            ]
            command += [_EPISODES, f"--json={tmp_path / 'served.json'}", *flags]
            subprocess.run(command, check=True, timeout=6000)
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=600)
        assert server.returncode == 0
        return json.loads((tmp_path / "served.json").read_text())

    return evaluate


@pytest.mark.slow
def test_a_served_model_is_as_accurate_as_evaluated(commands, trained_copy, evaluate_served, tmp_path):
    evaluated = commands.background(commands.run, "evaluate", f"--run_dir={trained_copy}", _EPISODES)
    exported = commands.run("export", f"--run_dir={trained_copy}", f"--export_dir={tmp_path / 'models' / 'm'}")
    assert evaluated.result().status == exported.status == 0
    served = evaluate_served(trained_copy)
    assert served["episodes"] == served["evaluate"]["episodes"] == 40
    # A query may be exactly between two classes, but for rounding.
    assert served["accuracy"] == pytest.approx(served["evaluate"]["accuracy"], abs=0.002)
    assert served["accuracy"] != 0.2  # as of one answer to everything


@pytest.mark.parametrize(
    ("script", "flag", "problem"),
    [
        ("evaluate_served.py", "run_dir", "is not a run directory (no flags.json): give one that train created."),
        ("load_test.py", "model_base_path", "has no versions: check --model_base_path."),
    ],
)
def test_a_script_says_what_is_wrong_in_one_line_too(tmp_path, script, flag, problem):
    command = [sys.executable, str(_EXPORT / script), f"--{flag}={tmp_path}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"{script}: {tmp_path} {problem}"
    assert "Traceback" not in result.stderr


def test_a_directory_without_versions_is_one_line(commands, tmp_path):
    assert _serve(commands, f"--model_base_path={tmp_path}").refusal() == (
        f"ml_lstm.serve: {tmp_path} has no version that can be loaded: export one with "
        f"python -m ml_lstm.export --run_dir=RUN --export_dir={tmp_path}."
    )


def test_the_directory_above_or_below_is_pointed_out(commands, tmp_path):
    version = tmp_path / "models" / "m" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    assert (
        f"give the directory of versions, {version.parent}."
        in _serve(commands, f"--model_base_path={version}").refusal()
    )
    assert (
        f"give the directory of one model, {version.parent}."
        in _serve(commands, f"--model_base_path={version.parents[1]}").refusal()
    )


@pytest.mark.parametrize("flag", ["rest_api_port", "port"])
def test_a_port_that_is_taken_is_one_line(commands, tmp_path, flag):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = _serve(commands, f"--model_base_path={tmp_path}", f"--{flag}={port}").refusal()
    assert line.startswith(f"ml_lstm.serve: 127.0.0.1:{port}")
    assert f"choose another --{flag}" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model_config_list { config { name: } }", "is not a ModelServerConfig: 1:"),
        ("", "has no model"),
        ('model_config_list { config { name: "m" } }', "without name or base_path"),
    ],
)
def test_a_configuration_that_is_none_is_one_line(commands, tmp_path, text, words):
    (tmp_path / "models.config").write_text(text)
    assert words in _serve(commands, f"--model_config_file={tmp_path / 'models.config'}").refusal()


def test_a_package_that_is_missing_is_one_line(commands, tmp_path):
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError(name='starlette')")
    result = _serve(commands, f"--model_base_path={tmp_path}", path=tmp_path)
    assert result.refusal() == "ml_lstm.serve: starlette is not installed: pip install 'ml_lstm[serve]'."


def test_a_model_that_the_zoo_lacks_is_one_line(commands):
    assert "The zoo has no model 'nothing'" in _serve(commands, "--model=nothing").refusal()


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--model_base_path=a", "--model_config_file=b"],
        ["--model=a", "--model_base_path=b"],
        ["--model=a", "--model_config_file=b"],
        ["--max_images=0"],
    ],
)
def test_wrong_flags_exit_2(commands, flags):
    assert commands.run("serve", *flags).refusal(2)
