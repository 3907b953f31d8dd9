"""The script of kills finds what it looks for, and its page tells what it found."""

import json
import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.kills import full_disk, moments, saved, training
from benchmarks.kills.commands import Commands, Finished
from benchmarks.kills.page import page, problems
from ml_lstm.runs import CheckpointStore
from ml_lstm.training import Progress

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_that_of_the_result_and_nothing_was_wrong():
    result = json.loads((DOCS / "results" / "kills.json").read_text())
    assert page(result) == (DOCS / "kills.md").read_text()
    assert problems(result) == []
    kills = {name: [kill for kill in part.get("kills", []) if kill["phase"]] for name, part in result["parts"].items()}
    assert sum(map(len, kills.values())) >= 20
    assert all(kills[name] for name in ("train", "export", "serve"))
    assert {"full disk", "two trainers"} <= result["parts"].keys()


def test_moments_are_those_of_the_seed_and_in_every_phase():
    drawn = [moments.draw(["a", "b", "c"], 7, random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(moment.phase for moment in drawn[0]) == list("aaabbcc")
    assert all(0 <= moment.fraction < 1 for moment in drawn[0])


@pytest.fixture
def run(tmp_path):
    """`run(name, value, loss)`: the directory of what passes for a run, with a weight and a loss."""

    def written(name, value=1.0, loss=0.5, seconds=1.0):
        model, progress = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), Progress()
        model.set_weights([np.full((1, 1), value), np.zeros(1)])
        optimizer = keras.optimizers.SGD()
        optimizer.build(model.trainable_variables)
        progress.seconds, progress.validations = seconds, [(20, 0.5)]
        for store, more in (("backup", {"optimizer": optimizer}), ("checkpoints", {})):
            CheckpointStore(tmp_path / name / store, model=model, progress=progress, **more).save(20)
        for part in ("train", "validation", "episodes"):
            with tf.summary.create_file_writer(str(tmp_path / name / part)).as_default(step=0):
                tf.summary.scalar("epoch_loss", loss)
                tf.summary.scalar("epoch_episodes_per_second", seconds)
        return tmp_path / name

    return written


def test_runs_that_differ_in_time_alone_do_not_differ(run):
    assert saved.differences(run("a"), run("b", seconds=7.0)) == {"backup": [], "checkpoints": [], "events": []}


def test_a_weight_or_a_loss_that_differs_is_named(run):
    reference = run("a")
    other = saved.differences(run("b", value=1.0000001), reference)
    assert len(other["backup"]) == len(other["checkpoints"]) == 1 and other["events"] == []
    assert saved.differences(run("c", loss=0.6), reference)["events"] == [
        f"epoch_loss of {part} at 0" for part in ("episodes", "train", "validation")
    ]


def test_what_is_damaged_is_named(run):
    directory = run("a")
    assert saved.damage(directory) == []
    (directory / "flags.json").write_text('{"flags": ')
    data = directory / "backup" / "episode-20.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    flags, backup = saved.damage(directory)
    assert flags.startswith("flags.json: ") and backup.startswith("backup/episode-20.index: ")


GREETING = "I0000 00:00:1 oneDNN is on\n"


@pytest.mark.parametrize(
    ("finished", "succeeded", "refused"),
    [
        (Finished(0, "", GREETING), True, False),
        (Finished(0, "", GREETING + "W1 a warning\n"), False, False),
        (Finished(1, "", "ml_lstm.train: full. Free some space.\n"), False, True),
        (Finished(0, "", "ml_lstm.train: full. Free some space.\n"), False, False),
        (Finished(1, "", "Traceback\nml_lstm.train: full. Free some space.\n"), False, False),
        (Finished(1, "", "ml_lstm.train: something else\n"), False, False),
        (Finished(-9, "", ""), False, False),
    ],
)
def test_only_success_is_none_and_only_one_line_is_a_refusal(finished, succeeded, refused):
    assert (finished.failure() == []) == succeeded
    assert (finished.refusal_without("Free some space") == []) == refused


@pytest.mark.parametrize("may_mount", [True, False])
def test_a_full_disk_takes_what_there_is_room_for_and_no_more(may_mount, tmp_path):
    writer = "import sys; open(sys.argv[1], 'wb').write(bytes(int(sys.argv[2])))"

    def writes(size, more):
        arguments = ["-c", writer, str(disk.path / "file"), str(size)]
        return subprocess.run([sys.executable, *arguments], capture_output=True, **more)

    with full_disk.small_disk(tmp_path / "disk", may_mount) as disk:
        with disk.full_but_for(8192) as more:
            assert writes(8192, more).returncode == 0
            full = writes(20_000, more)
        assert full.returncode == 1
        assert b"No space left" in full.stderr or b"File too large" in full.stderr
        assert writes(20_000, {}).returncode == 0
        assert may_mount or "RLIMIT_FSIZE" in disk.how
    assert may_mount is False or not list((tmp_path / "disk").iterdir()) or "RLIMIT_FSIZE" in disk.how


@pytest.mark.slow
def test_train_killed_in_a_save_goes_on_to_the_same_bits(tmp_path):
    commands, epochs = Commands(tmp_path / "cache"), 3
    seconds = training.reference(commands, tmp_path / "undisturbed", epochs)
    assert seconds.keys() == training.phases(tmp_path).keys()
    drawn = [moments.Moment(training.SAVING, 0.3)]
    found = training.kill_and_go_on(commands, tmp_path / "run", tmp_path / "undisturbed", epochs, seconds, drawn)
    (kill,) = found["kills"]
    assert kill["seconds"] > seconds["starting"] / 8
    assert [row for row in (kill, *found["checks"]) if row["problems"]] == []
    assert len(found["checks"]) == 5
