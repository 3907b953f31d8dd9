"""Studies do what is left, go on after a fault, and come to the same files however often they were cut short."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ml_lstm.errors import UserError
from studies import harness
from studies.harness import Measurement, Step, Study, Training, carry_out, left
from tests import forks

TRAININGS = [
    Training("a", 100, ("--method=maml",), (Measurement("test"), Measurement("train", ("--split=train",)))),
    Training("b", 300, ("--method=reptile",)),
    Training("c", 100, ("--seed=1",), (Measurement("gates", ("--steps=3",), "studies.gates"),), "studies.trains"),
]


def accuracies(results):
    return [
        ["run", "accuracy"],
        *([name, f"{of[first]['accuracy']:.2f}"] for name, of in results.items() for first in of),
    ]


STUDY = Study(
    name="example",
    title="An example",
    question="What is left to do?",
    trainings=lambda scale: TRAININGS,
    table=accuracies,
    draw=lambda results, axes: axes.plot([0, 1], label="$a"),
)


class Machine:
    """Stands for commands: keeps what was called, and writes the result that --json asks for."""

    def __init__(self):
        self.calls, self.fails_at = [], None

    def __call__(self, step):
        words = step.command[2:]
        self.calls.append(words)
        if self.fails_at is not None and len(self.calls) == self.fails_at:
            raise UserError("the disk is full")
        (file,) = [word.removeprefix("--json=") for word in words if word.startswith("--json=")] or [None]
        if file:
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "w") as out:
                json.dump({"accuracy": len(" ".join(words)) / 1000}, out)


@pytest.fixture
def machine(monkeypatch):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    machine = Machine()
    monkeypatch.setattr(harness, "call", machine)
    return machine


def test_each_training_is_followed_by_its_measurements(machine, tmp_path):
    carry_out(STUDY, tmp_path, "small", "DATA")
    run = f"--run_dir={tmp_path}/small/a"
    assert machine.calls[:3] == [
        ["ml_lstm.train", "--method=maml", "--episodes=100", "--data_dir=DATA", run],
        ["ml_lstm.evaluate", "--data_dir=DATA", run, f"--json={tmp_path}/small/a.test.json"],
        ["ml_lstm.evaluate", "--split=train", "--data_dir=DATA", run, f"--json={tmp_path}/small/a.train.json"],
    ]
    assert [words[0] for words in machine.calls[3:]] == [
        "ml_lstm.train",
        "ml_lstm.evaluate",
        "studies.trains",
        "studies.gates",
    ]


def test_what_was_cut_short_goes_on_to_the_same_files(machine, tmp_path):
    carry_out(STUDY, tmp_path / "whole", "small")
    first, machine.calls = machine.calls, []
    machine.fails_at = 3  # a's second measurement
    with pytest.raises(UserError):
        carry_out(STUDY, tmp_path / "whole2", "small")
    assert not list((tmp_path / "whole2").glob("example.*"))
    machine.calls, machine.fails_at = [], None
    carry_out(STUDY, tmp_path / "whole2", "small")
    assert [words[0] for words in machine.calls] == ["ml_lstm.train", *(words[0] for words in first[2:])]
    assert "--split=train" in machine.calls[1]


def test_nothing_is_done_twice(machine, tmp_path):
    rows = carry_out(STUDY, tmp_path, "small")
    files = {path.name: path.read_bytes() for path in tmp_path.glob("example.*")}
    assert files.keys() == {"example.json", "example.md", "example.png"}
    machine.calls = []
    assert carry_out(STUDY, tmp_path, "small") == rows
    assert machine.calls == []
    assert {path.name: path.read_bytes() for path in tmp_path.glob("example.*")} == files


def test_json_has_each_result_under_its_training(machine, tmp_path):
    rows = carry_out(STUDY, tmp_path, "small")
    record = json.loads((tmp_path / "example.json").read_text())
    assert (record["study"], record["scale"]) == ("example", "small")
    assert {name: list(of) for name, of in record["results"].items()} == {
        "a": ["test", "train"],
        "b": ["test"],
        "c": ["gates"],
    }
    assert accuracies(record["results"]) == rows


def test_scales_are_kept_apart(machine, tmp_path):
    carry_out(STUDY, tmp_path, "small")
    machine.calls = []
    carry_out(STUDY, tmp_path, "hours")
    assert len(machine.calls) == 7


def test_what_is_left_is_said_by_episodes(machine, tmp_path, capsys, monkeypatch):
    clock = iter([0, 0, 60, 240, 300])
    monkeypatch.setattr(harness.time, "monotonic", lambda: next(clock))
    carry_out(STUDY, tmp_path, "small")
    assert capsys.readouterr().out.splitlines() == [
        "Training 1 of 3, a",
        "Training 2 of 3, b, about 4 min left",
        "Training 3 of 3, c, about 1 min left",
    ]


def test_a_damaged_result_is_named(machine, tmp_path):
    carry_out(STUDY, tmp_path, "small")
    (tmp_path / "small" / "b.test.json").write_text("{")
    with pytest.raises(UserError, match=r"b\.test\.json is damaged: remove it"):
        carry_out(STUDY, tmp_path, "small")


def test_without_matplotlib_nothing_is_trained_in_vain(machine, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="matplotlib"):
        carry_out(STUDY, tmp_path, "small")
    assert machine.calls == []


def step(tmp_path, code):
    return Step([sys.executable, "-c", code], 1, tmp_path / "runs" / "a.log")


def test_words_of_a_command_go_to_its_log_one_after_the_other(tmp_path):
    for word in ("one", "two"):
        harness.call(step(tmp_path, f"print('{word}')"))
    assert (tmp_path / "runs" / "a.log").read_text() == "one\ntwo\n"


def test_a_command_that_fails_is_told_by_its_last_line(tmp_path):
    with pytest.raises(UserError, match=r"status 3, no such data \(its whole output is in .*a\.log\)"):
        harness.call(
            step(tmp_path, "import sys; print('so far so good'); print('no such data', file=sys.stderr); sys.exit(3)")
        )


def test_a_training_that_was_stopped_is_not_measured_though_it_ends_well(tmp_path):
    with pytest.raises(UserError, match="a was stopped and has saved"):
        harness.call(step(tmp_path, "print('Stopped at episode 20 and saved. Run the same command again to resume.')"))


@pytest.mark.parametrize(("status", "said"), [("'saved'", "status 1, saved"), ("0", "a was stopped and has saved")])
def test_a_signal_is_handed_on_to_the_command(tmp_path, status, said):
    child = tmp_path / "child.py"
    child.write_text(
        """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(STATUS))
print('up', flush=True)
time.sleep(600)
""".replace("STATUS", status)
    )
    code = f"""
import sys
from pathlib import Path
from studies import harness
try:
    harness.call(harness.Step([sys.executable, {str(child)!r}, "x"], 1, Path({str(tmp_path / "a.log")!r})))
except harness.UserError as error:
    print(error)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "a.log").exists() or "up" not in (tmp_path / "a.log").read_text():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert said in process.communicate()[0]


def test_what_needs_no_training_is_given_no_number_of_episodes(tmp_path):
    ((train, _),) = left([Training("pixels", 0, ("--method=pixel_nearest_neighbour",))], tmp_path, None)
    assert train.command[2:] == ["ml_lstm.train", "--method=pixel_nearest_neighbour", f"--run_dir={tmp_path}/pixels"]


def test_glyphs_are_drawn_without_a_data_directory_and_may_be_tested_on_data_that_have_one(tmp_path):
    measured = (Measurement("digits", ("--dataset=mnist",)),)
    ((train, evaluate),) = left([Training("a", 9, ("--dataset=glyphs",), measured)], tmp_path, "DATA")
    assert ("--data_dir=DATA" in train.command, "--data_dir=DATA" in evaluate.command) == (False, True)


def test_what_is_left_can_be_shared_among_machines(tmp_path):
    (tmp_path / "a.test.json").write_text("{}")
    steps = list(left(TRAININGS, tmp_path, None))
    assert [[step.command[2] for step in of_training] for of_training in steps] == [
        ["ml_lstm.train", "ml_lstm.evaluate"],
        ["ml_lstm.train", "ml_lstm.evaluate"],
        ["studies.trains", "studies.gates"],
    ]
    assert [step.episodes for of_training in steps for step in of_training[:1]] == [100, 300, 100]


def test_help_lists_the_flags_of_a_study():
    shown = forks.run("studies.gates", "--help").stdout
    for name in ("out", "data_dir", "scale", "[no]list"):
        assert f"  --{name}: " in shown
