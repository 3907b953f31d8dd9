"""python -m ml_lstm.serve: what is wrong is one line, before anything listens."""

import os
import socket
import subprocess
import sys

import pytest


def serve(*flags, **environment):
    """The exit status and the command's own last line."""
    command = [sys.executable, "-m", "ml_lstm.serve", *flags]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | environment)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stderr.splitlines()[-1]


def test_a_directory_without_versions(tmp_path):
    assert serve(f"--model_base_path={tmp_path}", "--rest_api_port=0", "--port=0") == (
        1,
        f"ml_lstm.serve: {tmp_path} has no version that loads: export one, python -m ml_lstm.export --run_dir=RUN "
        f"--export_dir={tmp_path}.",
    )


@pytest.mark.parametrize(("flag", "other"), [("rest_api_port", "port"), ("port", "rest_api_port")])
def test_a_port_that_is_taken(tmp_path, flag, other):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, line = serve(f"--model_base_path={tmp_path}", f"--{flag}={port}", f"--{other}=0")
    assert status == 1
    assert line.startswith(f"ml_lstm.serve: 127.0.0.1:{port}")
    assert f"choose another --{flag}" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model_config_list { config { name: } }", "is no ModelServerConfig: 1:"),
        ("", "names no model"),
        ('model_config_list { config { name: "m" } }', "without name or base_path"),
    ],
)
def test_a_configuration_that_is_none(tmp_path, text, words):
    (tmp_path / "models.config").write_text(text)
    status, line = serve(f"--model_config_file={tmp_path / 'models.config'}")
    assert status == 1
    assert words in line


def test_missing_packages(tmp_path):
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError(name='starlette')")
    assert serve(f"--model_base_path={tmp_path}", PYTHONPATH=str(tmp_path)) == (
        1,
        "ml_lstm.serve: starlette is not installed: pip install 'ml_lstm[serve]'.",
    )


@pytest.mark.parametrize(
    "flags", [[], ["--model_base_path=a", "--model_config_file=b"], ["--port=65536"], ["--no_flag"]]
)
def test_wrong_flags_exit_2(flags):
    assert serve(*flags)[0] == 2
