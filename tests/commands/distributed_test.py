"""Tests of `train --strategy`: the result of one device, whatever becomes of a worker on the way."""

import json
import os
import signal
import socket
import time

import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.slow

_EPISODES, _INTERVAL = 360, 60
_FLAGS = (
    # Quick to trace, and it has averages beside weights.
    "--method=prototypical",
    # For two devices and for three.
    "--meta_batch_size=6",
    f"--episodes={_EPISODES}",
    f"--validation_interval={_INTERVAL}",
    # So small that rounding, which grows from step to step, stays far below the tolerance.
    "--learning_rate=0.001",
    "--devices=cpu",
)


def _free_addresses(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{taken.getsockname()[1]}" for taken in sockets]
    for taken in sockets:
        taken.close()
    return addresses


def _start(commands, run, count, *more):
    """Workers of one job, the chief first."""
    cluster = {"worker": _free_addresses(count)}
    flags = commands.train_flags(run, *_FLAGS, "--strategy=multi_worker", *more)
    configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(count)]
    return [commands.start("train", *flags, variables={"TF_CONFIG": config}) for config in configs]


def _ends(finished, workers, timeout=6000):  # a busy machine is no failure
    """How all of them end."""
    ended = []
    try:
        for worker in workers:
            out, err = worker.communicate(timeout=timeout)
            ended.append(finished(worker.returncode, out.decode(), err.decode()))
    finally:
        for worker in workers:
            worker.kill()
    return ended


def _signalled(commands, finished, run, count, index, number):
    """How a job ends of which one worker gets a signal as soon as something has been saved."""
    before = set((run / "backup").glob("*.index"))
    workers = _start(commands, run, count)
    while set((run / "backup").glob("*.index")) <= before:
        if any(worker.poll() is not None for worker in workers):
            break  # and what it said will show
        time.sleep(0.002)
    workers[index].send_signal(number)
    return _ends(finished, workers)


def _one_device(commands, finished, run):
    return commands.train(run, *_FLAGS)


def _two_devices(commands, finished, run):
    return commands.train(run, *_FLAGS, "--strategy=mirrored", "--devices=cpu:0,cpu:1")


def _two_workers(commands, finished, run):
    return _ends(finished, _start(commands, run, 2))


def _three_workers(commands, finished, run):
    return _ends(finished, _start(commands, run, 3))


def _one_of_two_asked_to_stop_then_the_other_killed(commands, finished, run):
    stopped = _signalled(commands, finished, run, 2, 1, signal.SIGTERM)
    killed = _signalled(commands, finished, run, 2, 0, signal.SIGKILL)
    return stopped, killed, _ends(finished, _start(commands, run, 2))


def _other_flags_for_one(commands, finished, run):
    cluster = {"worker": _free_addresses(2)}
    workers = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        flags = commands.train_flags(run, *_FLAGS, "--strategy=multi_worker", f"--seed={index}")
        workers.append(commands.start("train", *flags, variables={"TF_CONFIG": config}))
    return _ends(finished, workers)


def _port_in_use(commands, finished, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cluster = {"worker": [f"127.0.0.1:{taken.getsockname()[1]}", *_free_addresses(1)]}
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}})
        flags = commands.train_flags(run, *_FLAGS, "--strategy=multi_worker")
        return _ends(finished, [commands.start("train", *flags, variables={"TF_CONFIG": config})])


_JOBS = (
    _one_of_two_asked_to_stop_then_the_other_killed,  # the longest first
    _one_device,
    _two_devices,
    _two_workers,
    _three_workers,
    _other_flags_for_one,
    _port_in_use,
)


@pytest.fixture(scope="module")
def job(commands, finished, tmp_path_factory):
    """`job(function)`: its run's directory and what it returned; all are under way, two at a time."""
    runs = {function: tmp_path_factory.mktemp("job") / "run" for function in _JOBS}
    futures = {function: commands.background(function, commands, finished, runs[function]) for function in _JOBS}
    return lambda function: (runs[function], futures[function].result())


def _weights(run):
    """Trained weights, and where they have a gradient that is more than rounding.

    The bias in front of a batch norm has none; Adam divides its rounding by the rounding's size.
    """
    reader = tf.train.load_checkpoint(str(run / "backup" / f"episode-{_EPISODES}"))

    def tensor(name):
        return reader.get_tensor(f"optimizer/{name}/.ATTRIBUTES/VARIABLE_VALUE")

    shapes = reader.get_variable_to_shape_map()
    count = sum(name.startswith("optimizer/_trainable_variables/") for name in shapes)
    # Adam's own: the step, the learning rate, and both moments of each weight in turn.
    return [(tensor(f"_trainable_variables/{i}"), tensor(f"_variables/{3 + 2 * i}") > 1e-12) for i in range(count)]


@pytest.mark.parametrize("shared", [_two_devices, _two_workers, _three_workers])
def test_devices_that_share_a_meta_batch_come_to_the_result_of_one(shared, job, saved):
    (run, ended), (alone, single) = job(shared), job(_one_device)
    for worker in [single, *(ended if isinstance(ended, list) else [ended])]:
        assert worker.status == 0, worker.stderr
    found, expected = _weights(run), _weights(alone)
    assert len(expected) > 10
    compared = 0
    for (value, _), (wanted, trained) in zip(found, expected, strict=True):
        np.testing.assert_allclose(value[trained], wanted[trained], rtol=1e-3, atol=1e-3)
        compared += np.count_nonzero(trained)
    assert compared > 0.9 * sum(value.size for value, _ in expected)
    for (episode, accuracy), (when, other) in zip(saved(run).validations, saved(alone).validations, strict=True):
        assert episode == when
        assert accuracy == pytest.approx(other, abs=0.06)  # two of 40 queries


def test_only_the_chief_speaks_and_writes(job):
    run, (chief, *others) = job(_three_workers)
    assert "Meta-trained for 360 episodes" in chief.stdout
    for index, worker in enumerate(others, 1):
        (line,) = worker.stdout.splitlines()
        assert line.startswith(f"Worker {index} of 3, at 127.0.0.1:"), line
    assert [worker.own_lines for worker in others] == [[], []]
    for part in ("train", "validation", "episodes"):
        assert len(list((run / part).iterdir())) == 1


def test_a_job_stopped_by_a_signal_to_one_worker_then_killed_comes_to_the_bits_of_one_undisturbed(job, saved):
    run, (stopped, killed, again) = job(_one_of_two_asked_to_stop_then_the_other_killed)
    assert [worker.status for worker in stopped] == [os.EX_TEMPFAIL] * 2, stopped
    assert "saved. Run the same command again to resume" in stopped[0].stdout
    assert [worker.status for worker in killed] == [-signal.SIGKILL, os.EX_TEMPFAIL], killed
    (line,) = (line for line in killed[1].own_lines if line.startswith("ml_lstm.train: "))
    assert "Another worker is lost" in line
    assert "run the same command again on every worker" in line
    assert "Graph execution error" not in line, "TensorFlow's reason is in another paragraph"
    assert "Traceback" not in killed[1].stderr
    assert [worker.status for worker in again] == [0, 0], again
    assert "Resuming from episode" in again[0].stdout
    undisturbed, _ = job(_two_workers)
    assert saved(run) == saved(undisturbed)


def test_workers_with_other_flags_are_refused_by_all_and_nothing_is_trained(job):
    run, workers = job(_other_flags_for_one)
    for worker in workers:
        assert worker.status == 1
        (line,) = (line for line in worker.own_lines if line.startswith("ml_lstm.train: "))
        assert "Worker 1 and worker 0 (the chief) differ in their flags or their data" in line
    assert not (run / "backup").exists()


def test_a_port_in_use_is_one_line(job):
    run, (worker,) = job(_port_in_use)
    assert worker.status == 1, worker
    (line,) = (line for line in worker.own_lines if line.startswith("ml_lstm.train: "))
    assert "Cannot listen on" in line
    assert "check that the port is free" in line
    assert "Traceback" not in worker.stderr
    assert not run.exists()
