"""What --devices makes visible to TensorFlow."""

import pytest
import tensorflow as tf

from ml_lstm.command_line import devices
from ml_lstm.errors import UserError


@pytest.fixture
def machine(monkeypatch):
    """`machine(gpus)`: a machine with so many of them; returns what is asked of TensorFlow, in order."""

    def make(gpus):
        asked = []
        present = {"GPU": [f"GPU {index}" for index in range(gpus)], "CPU": ["CPU"]}
        monkeypatch.setattr(tf.config, "list_physical_devices", present.get)
        monkeypatch.setattr(tf.config, "set_visible_devices", lambda *arguments: asked.append(arguments))
        monkeypatch.setattr(
            tf.config, "set_logical_device_configuration", lambda cpu, parts: asked.append((cpu, len(parts)))
        )
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *arguments: asked.append(arguments))
        for name in ("set_intra_op_parallelism_threads", "set_inter_op_parallelism_threads"):
            monkeypatch.setattr(tf.config.threading, name, lambda threads: None)
        return asked

    return make


@pytest.mark.parametrize(
    ("gpus", "given", "names", "expected"),
    [
        (0, [], ["cpu:0"], []),
        (2, [], ["gpu:0", "gpu:1"], []),
        (2, ["gpu"], ["gpu:0", "gpu:1"], [(["GPU 0", "GPU 1"], "GPU")]),
        (3, ["gpu:0", "gpu:2"], ["gpu:0", "gpu:1"], [(["GPU 0", "GPU 2"], "GPU")]),
        (2, ["gpu:1"], ["gpu:0"], [(["GPU 1"], "GPU")]),
        (2, ["cpu"], ["cpu:0"], [([], "GPU")]),
        (0, ["cpu:0"], ["cpu:0"], [([], "GPU")]),
        (1, ["cpu:0", "cpu:1", "cpu:2"], ["cpu:0", "cpu:1", "cpu:2"], [([], "GPU"), ("CPU", 3)]),
    ],
)
def test_only_the_named_devices_are_seen(gpus, given, names, expected, machine):
    asked = machine(gpus)
    assert devices.use(None, devices=given) == names
    assert asked == expected


def test_memory_grows_on_the_gpus_that_are_used(machine):
    asked = machine(3)
    devices.use(devices=["gpu:1"], memory_growth=True)
    assert asked == [(["GPU 1"], "GPU"), ("GPU 1", True)]


@pytest.mark.parametrize(
    ("gpus", "given", "words"),
    [
        (0, ["gpu"], r"--devices=gpu: there is no gpu:0; this machine has no GPU visible to TensorFlow"),
        (2, ["gpu:2"], r"--devices=gpu:2: there is no gpu:2; this machine has gpu:0, gpu:1"),
        (0, ["cpu:1"], r"--devices=cpu:1: number the logical CPU devices from 0"),
        (2, ["gpu:0", "gpu:1"], r"has 2 devices.*train --strategy=mirrored"),
    ],
)
def test_devices_that_are_not_there_or_of_no_use_are_refused(gpus, given, words, machine):
    machine(gpus)
    with pytest.raises(UserError, match=words):
        devices.use(devices=given)


@pytest.mark.parametrize(
    ("work", "given", "expected"),
    [
        (devices.Work(28, 5), {}, 1),
        (devices.Work(28, 80), {}, 0),
        (devices.Work(56, 5), {}, 0),
        (devices.Work(56, 5, side_by_side=2), {}, 1),
        (devices.Work(128, 5, side_by_side=8), {}, 0),
        (None, {}, 0),
        (devices.Work(28, 5), {"intra_op_threads": 0}, 0),
        (devices.Work(84, 5), {"intra_op_threads": 3}, 3),
    ],
)
def test_threads_go_by_images_and_cores_unless_told(work, given, expected, machine, monkeypatch):
    machine(0)
    asked = []
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", asked.append)
    monkeypatch.setattr(devices, "cores", lambda: 2)
    devices.use(None, work, **given)
    assert asked == [expected]
