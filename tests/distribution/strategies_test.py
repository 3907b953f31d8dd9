"""Meta-steps shared by devices come to what one device makes of the same meta-batch, or are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml_lstm import options
from ml_lstm.distribution import Distribution, distribution, require_shareable
from ml_lstm.errors import UserError
from ml_lstm.methods import METHODS

_SCRIPT = Path(__file__).with_name("train_on_two_devices.py")
_CLIP_NORM = 0.05

# One name of each class that shares.
_KINDS = {name: options.target(kind) for name, kind in METHODS.items()}
_SHARED = {kind: name for name, kind in _KINDS.items() if kind.trains and kind.splits_meta_batch}.values()


@pytest.fixture(scope="module")
def trained(selected):
    """Name → what one device and what two make of the same meta-batches."""
    result = subprocess.run(
        [sys.executable, str(_SCRIPT), *dict.fromkeys([*selected("training"), "maml", "maml, broken"])],
        env=os.environ | {"PYTHONPATH": str(_SCRIPT.parents[2])},
        capture_output=True,
        text=True,
        timeout=3600,  # a busy machine is no failure
    )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line["results"] for line in lines}


_AVERAGED = ["maml, averaged", "prototypical, averaged"]
_FAST = ["maml", "prototypical", "meta_lstm, compiled"]
_SLOW = sorted({*_SHARED, *_AVERAGED} - {*_FAST})


@pytest.mark.parametrize("training", _AVERAGED)
@pytest.mark.slow
def test_averages_of_the_weights_are_those_of_one_device(training, trained):
    one, two = trained[training]
    apart = 0
    for (variable, expected), (_, found), (_, last) in zip(
        one["averages"], two["averages"], one["variables"], strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=variable)
        apart += expected != last
    assert apart > 3, "the averages are the last weights: tests nothing"


@pytest.mark.parametrize("training", [*_FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in _SLOW)])
def test_two_devices_train_as_one_does(training, trained):
    one, two = trained[training]
    assert one["moved"] > 1e-3
    # Meta Networks read gradients through a slope of up to e^10, which enlarges rounding as well.
    rounding = 2e-3 if training.startswith("meta_networks") else 2e-5
    for (variable, expected), (_, found) in zip(one["variables"], two["variables"], strict=True):
        np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding, err_msg=variable)
    assert len(one["logs"]) == len(two["logs"]) == 2
    for expected, found in zip(one["logs"], two["logs"], strict=True):
        assert expected["gradient_norm"] > 2 * _CLIP_NORM, "nothing is clipped: tests little"
        assert found == pytest.approx(expected, rel=100 * rounding)


def test_the_first_episode_that_is_not_finite_has_its_number_in_the_whole_meta_batch(trained):
    for run in trained["maml, broken"]:
        assert run["first_non_finite_episode"] == 3
    for run in trained["maml"]:
        assert run["first_non_finite_episode"] == -1


def test_what_would_not_be_the_result_of_one_device_is_refused():
    two = distribution(["cpu:0", "cpu:1"], strategy="mirrored")
    with pytest.raises(UserError, match=r"--meta_batch_size=3 cannot be divided evenly among 2 devices.*multiple of 2"):
        require_shareable(two, "maml", METHODS["maml"], 3)
    with pytest.raises(UserError, match=r"--method=mann needs a meta-batch as a whole"):
        require_shareable(two, "mann", METHODS["mann"], 4)
    with pytest.raises(UserError, match=r"pixel_nearest_neighbour has no training"):
        require_shareable(two, "pixel_nearest_neighbour", METHODS["pixel_nearest_neighbour"], 4)
    for name, kind in METHODS.items():
        require_shareable(Distribution(), name, kind, 3)


def _config(task, **cluster):
    return json.dumps({"cluster": cluster, "task": task})


_TWO = ["a:1", "b:1"]
_BROKEN = {
    "missing": (None, r"needs TF_CONFIG"),
    "empty": ("", r"needs TF_CONFIG"),
    "no JSON": ("{cluster", r"must be JSON like .*got '\{cluster'"),
    "no object": ("[]", r"must be JSON like"),
    "no task": (json.dumps({"cluster": {"worker": _TWO}}), r"must be JSON like"),
    "no cluster": (json.dumps({"task": {"type": "worker", "index": 0}}), r"must be JSON like"),
    "no port": (_config({"type": "worker", "index": 0}, worker=["a", "b:1"]), r"'a'.*HOST:PORT"),
    "number for an address": (_config({"type": "worker", "index": 0}, worker=[1]), r"address 1:.*HOST:PORT"),
    "address twice": (_config({"type": "worker", "index": 0}, worker=["a:1", "a:1"]), r"address twice"),
    "beyond the last": (_config({"type": "worker", "index": 2}, worker=_TWO), r"'worker' number 2"),
    "before the first": (_config({"type": "worker", "index": -1}, worker=_TWO), r"'worker' number -1"),
    "index in quotes": (_config({"type": "worker", "index": "0"}, worker=_TWO), r"'worker' number '0'"),
    "unknown task": (_config({"type": "chief", "index": 0}, worker=_TWO), r"'chief' number 0"),
    "list for a task": (_config({"type": ["worker"], "index": 0}, worker=_TWO), r"task \['worker'\]"),
    "parameter servers": (_config({"type": "worker", "index": 0}, worker=_TWO, ps=["c:1"]), r"workers.*'ps'"),
    "two chiefs": (_config({"type": "worker", "index": 0}, worker=["c:1"], chief=_TWO), r"at most one chief"),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_a_broken_tf_config_is_refused_in_one_line(name):
    config, words = _BROKEN[name]
    with pytest.raises(UserError, match=words) as refused:
        distribution(["cpu:0"], {} if config is None else {"TF_CONFIG": config}, strategy="multi_worker")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("task", "cluster", "is_chief", "replicas"),
    [
        ({"type": "worker", "index": 0}, {"worker": _TWO}, True, 2),
        ({"type": "worker", "index": 1}, {"worker": _TWO}, False, 2),
        ({"type": "chief", "index": 0}, {"chief": ["c:1"], "worker": _TWO}, True, 3),
        ({"type": "worker", "index": 0}, {"chief": ["c:1"], "worker": _TWO}, False, 3),
    ],
)
def test_the_chief_is_the_first_task_and_all_devices_count(task, cluster, is_chief, replicas):
    for devices in (["cpu:0"], ["gpu:0", "gpu:1"]):
        shared = distribution(devices, {"TF_CONFIG": _config(task, **cluster)}, strategy="multi_worker")
        assert shared.is_chief is is_chief
        assert shared.replicas == len(devices) * replicas


def test_several_cpu_devices_of_a_worker_are_refused():
    config = _config({"type": "worker", "index": 0}, worker=_TWO)
    with pytest.raises(UserError, match="one CPU device per worker"):
        distribution(["cpu:0", "cpu:1"], {"TF_CONFIG": config}, strategy="multi_worker")
