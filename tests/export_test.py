"""python -m ml_lstm.export: a kill leaves no broken version, and the model card tells what one should know."""

import json
import random
import signal
import time
from pathlib import Path

import pytest
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.runs import RunDirectory, settings
from ml_lstm.serving import MAX_PIXELS
from ml_lstm.training import Progress
from tests import forks

SMALL = {"filters": 2, "hidden_units": 0, "inner_steps": 1}
PROBLEM = Problem((16, 16, 1), 5, None, [0.5], [0.5])


def saved(path, **chosen):
    """A run that was saved before its first episode."""
    values = settings.complete(SMALL | chosen)
    run = RunDirectory(path)
    run.create(settings.bound(values), PROBLEM, "classes")
    run.backup(model=settings.build_method(values, PROBLEM), progress=Progress()).save(0)
    return run.path


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("runs") / "run")


def start_export(run_dir, models, *flags):
    return forks.start("ml_lstm.export", f"--run_dir={run_dir}", f"--export_dir={models}", *flags)


def assert_whole(version):
    signatures = tf.saved_model.load(str(version)).signatures
    card = json.loads((version / "assets.extra" / "model_card.json").read_text())
    for _ in tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests")):
        pass
    images = tf.zeros([2, 16, 16, 1], tf.uint8)
    signatures["serving_default"](support_images=images, support_labels=tf.constant(["a", "b"]), query_images=images)
    return card


@pytest.mark.slow
def test_a_kill_leaves_whole_versions_only_and_the_next_export_tidies_up(run_dir, tmp_path):
    models = tmp_path / "m"
    moments = random.Random(0)
    for _ in range(2):
        export = start_export(run_dir, models)
        while not list(models.glob(".writing-*")) and export.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1))
        export.send_signal(signal.SIGKILL)
        export.communicate()
        for version in models.glob("[0-9]*"):
            assert_whole(version)
    before = {path.name for path in models.glob("[0-9]*")}
    foreign = models / ".writing-another-machine-1"
    foreign.mkdir()
    export = start_export(run_dir, models, "--inner_steps=2")
    output, errors = (text.decode() for text in export.communicate(timeout=2400))
    assert export.returncode == 0, errors
    newest = str(len(before) + 1)
    assert {path.name for path in models.iterdir()} == before | {newest, foreign.name}
    assert f"ml_lstm.adapt --saved_model={models / newest}" in output
    card = assert_whole(models / newest)
    assert card["flags"] == settings.bound(settings.complete(SMALL))
    assert (card["method"], card["most_classes"], card["inner_steps"]) == ("meta_lstm", 5, 2)
    assert (card["familiarity"], card["figures"], card["image_shape"]) == (False, [], [16, 16, 1])
    assert card["trained_on"] == "The meta-training classes of glyphs."
    words = " ".join(card["limits"])
    for part in ("At most 5 classes", str(MAX_PIXELS), "trained on glyphs", "not measured", "2 steps"):
        assert part in words


def test_inner_steps_are_refused_for_a_method_that_has_none(tmp_path):
    path = saved(tmp_path / "run", method="pixel_nearest_neighbour")
    export = start_export(path, tmp_path / "m", "--inner_steps=2")
    errors = export.communicate(timeout=1200)[1].decode()
    assert export.returncode == 1
    assert errors.splitlines()[-1] == (
        "ml_lstm.export: pixel_nearest_neighbour has no inner steps: leave out --inner_steps."
    )


def test_a_directory_that_is_no_run_is_one_line(tmp_path):
    export = start_export(tmp_path, tmp_path / "m")
    errors = export.communicate(timeout=1200)[1].decode()
    assert export.returncode == 1
    assert [line for line in errors.splitlines() if "ml_lstm.export:" in line] == [
        f"ml_lstm.export: {tmp_path} is not a run directory (no flags.json): give one that train created."
    ]
    assert not Path(tmp_path / "m").exists()
