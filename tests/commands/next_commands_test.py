"""What commands print to be run next can be pasted into a shell."""

import shlex

import pytest

from ml_lstm import train
from ml_lstm.runs import RunDirectory
from ml_lstm.training import Progress


def _after(progress, run_dir, data_dir, capsys):
    train._say_what_next(RunDirectory(run_dir), {"data_dir": data_dir}, progress)
    return [shlex.split(line) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize("name", ["run", "my run", "it's", 'a "b"', "$HOME", "*", "a;b", "ü", "-x", "#1", "~x", "a\\b"])
def test_what_train_prints_is_what_the_shell_passes_on(name, tmp_path, capsys):
    progress = Progress()
    progress.validations = [(10, 0.5)]
    run_dir, data_dir = str(tmp_path / name), f"data {name}"
    evaluate, board, export = _after(progress, run_dir, data_dir, capsys)
    assert evaluate[3:] == [f"--run_dir={run_dir}", f"--data_dir={data_dir}"]
    assert board == ["tensorboard", f"--logdir={run_dir}"]
    assert export[3:] == [f"--run_dir={run_dir}", f"--export_dir=models/{name}"]


def test_the_model_of_a_run_that_is_here_has_a_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    progress = Progress()
    progress.validations = [(10, 0.5)]
    *_, export = _after(progress, ".", None, capsys)
    assert export[-1] == f"--export_dir=models/{tmp_path.name}"
