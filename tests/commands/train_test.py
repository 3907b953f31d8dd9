"""Tests of `train`: exact resume whatever stops it, damaged checkpoints, and what TensorBoard gets."""

import math
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context


def _prolonged_and_killed(commands, run, _):
    shorter = commands.train(run, f"--episodes={commands.interval}")
    commands.train_until_killed(run, 2 * commands.interval, random.uniform(0, 0.2))
    return shorter, commands.train(run)


def _amid_an_epoch(scenario):
    """On a busy machine a run may stop no earlier than at its epoch's end, which tests nothing: then once more."""

    def repeated(commands, run, trained):
        for _ in range(4):
            shutil.rmtree(run, ignore_errors=True)
            finished = scenario(commands, run, trained)
            told = "".join(each.stdout for each in finished)
            numbers = re.findall(r"(?:Stopped at|Resuming from) episode (\d+)", told)
            if all(int(number) % commands.interval for number in numbers):
                break
        return finished

    return repeated


def _stopped_by_signals(commands, run, _):
    terminated = commands.train_until_signal(run, signal.SIGTERM)
    shorter = commands.train(run, "--episodes=2")
    interrupted = commands.train_until_signal(run, signal.SIGINT)
    hung_up = commands.train_until_signal(run, signal.SIGHUP)
    return terminated, shorter, interrupted, hung_up, commands.train(run)


def _averaged(commands, run, _):
    more = ("--method=prototypical", "--average_weights=0.9", "--validate_train_classes")
    early = commands.train(run, *more, f"--episodes={commands.interval}")
    shutil.copytree(run, run.with_name("early"))
    commands.train_until_killed(run, 2 * commands.interval, random.uniform(0, 0.2), *more)
    return early, commands.train(run, *more), commands.train(run.with_name("undisturbed"), *more)


def _truncate_data(backup, number):
    data = backup / f"episode-{number}.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1000])


def _flip_data(backup, number):
    data = backup / f"episode-{number}.data-00000-of-00001"
    contents = bytearray(data.read_bytes())
    contents[len(contents) // 2] ^= 0x10
    data.write_bytes(contents)


def _remove_index(backup, number):
    """As a kill in the middle of a save leaves it."""
    (backup / f"episode-{number}.index").unlink()
    (backup / "unfinished.data-00000-of-00001.tempstate123").write_bytes(b"part")
    (backup / "unfinished_temp").mkdir()
    (backup / "unfinished_temp/part-00000-of-00001.index").touch()


def _after(damage):
    def scenario(commands, run, trained):
        shutil.copytree(trained, run)
        damage(run / "backup", commands.episodes)
        return commands.train(run)

    return scenario


def _all_damaged(commands, run, trained):
    shutil.copytree(trained, run)
    for index in (run / "backup").glob("*.index"):
        index.write_bytes(b"")
    return commands.train(run)


def _no_longer_finite_before_the_first_save(commands, run, _):
    return commands.train(run, "--learning_rate=1e30"), commands.run("evaluate", f"--run_dir={run}", "--episodes=4")


def _no_longer_finite_after_a_save(commands, run, _):
    flags = ("--learning_rate=1e30", "--validation_interval=2")
    return commands.train(run, *flags), commands.run("evaluate", f"--run_dir={run}", "--episodes=4")


def _limit_file_size(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _file_size_limited(commands, run, trained):
    if "coverage" in sys.modules and sys.modules["coverage"].Coverage.current():
        return None  # its own file, which the command's process writes, would be limited too
    shutil.copytree(trained, run)
    more = f"--episodes={commands.episodes + commands.interval}"
    return commands.train(run, more, preexec_fn=_limit_file_size(8192))


def _disk_full(commands, run, trained):
    run.mkdir()
    # Room for the run as it is, not for its next checkpoint.
    size = 4096 * sum(-(-path.stat().st_size // 4096) for path in trained.rglob("*") if path.is_file()) + 12288
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", run], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    try:
        shutil.copytree(trained, run, dirs_exist_ok=True)
        return commands.train(run, f"--episodes={commands.episodes + commands.interval}")
    finally:
        # Left in place for a look at its files, out of the mount.
        shutil.copytree(run, run.with_name("after"))
        subprocess.run(["umount", run], check=True)


def _without_hanging_up(commands, run, _):
    """As `nohup` starts it."""
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    return commands.train_until_signal(run, signal.SIGHUP, **ignored)


def _terminal_closed(commands, run, _):
    return commands.train_until_terminal_closes(run), commands.train(run)


def _twice(commands, run, _):
    first = commands.start("train", *commands.train_flags(run))
    while first.poll() is None and not (run / "flags.json").exists():
        time.sleep(0.002)
    second = commands.train(run)
    _, err = first.communicate()
    return first.returncode, err.decode(), second


_SCENARIOS = {
    "without hanging up": _without_hanging_up,
    "terminal closed": _amid_an_epoch(_terminal_closed),
    "twice": _twice,
    "prolonged and killed": _prolonged_and_killed,
    "stopped": _amid_an_epoch(_stopped_by_signals),
    "averaged": _averaged,
    "data truncated": _after(_truncate_data),
    "data flipped": _after(_flip_data),
    "save killed": _after(_remove_index),
    "all damaged": _all_damaged,
    "not finite at once": _no_longer_finite_before_the_first_save,
    "not finite later": _no_longer_finite_after_a_save,
    "file size limited": _file_size_limited,
    "disk full": _disk_full,
}


@pytest.fixture(scope="module")
def under_way(commands, training, trained, selected, tmp_path_factory):
    """The scenarios of the tests that will run, side by side: name → the run's directory and a future."""
    runs = {name: tmp_path_factory.mktemp("scenario") / "run" for name in selected("scenario")}
    return {name: (run, commands.background(_SCENARIOS[name], commands, run, trained)) for name, run in runs.items()}


@pytest.fixture
def scenario(request, under_way):
    """The run's directory and what the scenario returned."""
    run, future = under_way[request.param]
    return run, future.result()


def _of(*names):
    return pytest.mark.parametrize("scenario", names, indirect=True)


def _assert_same_bits(saved, run, other):
    found, expected = saved(run), saved(other)
    assert any("optimizer/_variables" in name for name in expected.variables)
    assert any(name.startswith("model/") for name in expected.variables)
    assert found.number == expected.number
    assert (found.validations, found.train_classes) == (expected.validations, expected.train_classes)
    assert found.variables.keys() == expected.variables.keys()
    differing = [name for name in expected.variables if found.variables[name] != expected.variables[name]]
    assert not differing


def test_each_epoch_says_how_far_the_whole_run_is(training, trained, saved, commands):
    lines = [line for line in training.result()[1].stdout.splitlines() if line.startswith("Episode ")]
    validations = saved(trained).validations
    assert len(lines) == len(validations) == 3
    for number, line in enumerate(lines, start=1):
        done, best = number * commands.interval, max(validations[:number], key=lambda validation: validation[1])
        left = r", \d+ (s|min|h \d+ min) left" if number < 3 else ""
        accuracy = re.escape(f"best meta-validation accuracy {100 * best[1]:.1f} % at episode {best[0]}.")
        assert re.fullmatch(rf"Episode {done} of {commands.episodes} \({100 * number // 3} %\){left}; {accuracy}", line)


@pytest.mark.slow
@_of("prolonged and killed")
def test_run_prolonged_by_episodes_then_killed_goes_on_to_the_same_bits(scenario, trained, saved):
    run, (shorter, finished) = scenario
    assert shorter.status == finished.status == 0, finished.stderr
    assert "Resuming from episode" in finished.stdout
    _assert_same_bits(saved, run, trained)


@pytest.mark.slow
@_of("stopped")
def test_run_stopped_by_signals_amid_an_epoch_says_so_and_goes_on_to_the_same_bits(scenario, trained, saved, commands):
    run, (terminated, shorter, interrupted, hung_up, finished) = scenario
    for stopped in (terminated, interrupted, hung_up):
        assert stopped.status == 0, stopped.stderr
        assert not stopped.own_lines
        (line,) = (line for line in stopped.stdout.splitlines() if line.startswith("Stopped"))
        assert "saved. Run the same command again to resume" in line
        assert int(line.split()[3]) % commands.interval != 0, "the signal came at an epoch's end: tests nothing"
    # Asked for no more than was done before the first validation, there is nothing to report.
    assert shorter.status == 0, shorter.stderr
    assert "raise --episodes" in shorter.stdout
    assert finished.status == 0, finished.stderr
    _assert_same_bits(saved, run, trained)


@pytest.mark.slow
@_of("averaged")
def test_a_killed_run_with_averaged_weights_goes_on_to_the_same_bits_and_keeps_the_averages_as_best(scenario, saved):
    run, ended = scenario
    for finished in ended:
        assert finished.status == 0, finished.stderr
    _assert_same_bits(saved, run, run.with_name("undisturbed"))
    assert len(saved(run).train_classes) == 3
    last, best = (saved(run.with_name("early"), store).variables for store in ("backup", "checkpoints"))
    averages = {contents for name, contents in last.items() if name.startswith("averages/")}
    assert len(averages) > 10
    assert averages <= set(best.values())
    assert not averages <= {contents for name, contents in last.items() if name.startswith("model/")}


@_of("without hanging up")
def test_a_run_that_ignores_hanging_up_goes_on(scenario, trained, saved):
    run, finished = scenario
    assert finished.status == 0, finished.stderr
    assert "Stopped" not in finished.stdout
    _assert_same_bits(saved, run, trained)


@_of("terminal closed")
def test_a_run_whose_terminal_is_closed_is_saved_and_goes_on_to_the_same_bits(scenario, trained, saved, commands):
    run, (closed, finished) = scenario
    assert closed.status == 0, closed.stderr
    assert finished.status == 0, finished.stderr
    going_on = re.search(r"Resuming from episode (\d+) ", finished.stdout)
    assert int(going_on[1]) % commands.interval != 0, "saved at an epoch's end: tests nothing"
    _assert_same_bits(saved, run, trained)


@_of("twice")
def test_a_second_trainer_on_a_run_is_refused_and_the_first_goes_on(scenario, trained, saved):
    run, (status, errors, second) = scenario
    assert "run is being trained by another process: wait for it, stop it" in second.refusal()
    assert status == 0, errors
    _assert_same_bits(saved, run, trained)


@pytest.mark.slow
@pytest.mark.parametrize("onednn", ["0", "1"])
def test_with_and_without_onednn_a_killed_run_goes_on_to_the_same_bits(onednn, commands, saved, tmp_path):
    # Enough filters for the first layer's patches.
    more, variables = ("--filters=10",), {"TF_ENABLE_ONEDNN_OPTS": onednn}
    undisturbed = commands.background(commands.train, tmp_path / "undisturbed", *more, variables=variables)
    commands.train_until_killed(tmp_path / "killed", commands.interval, 0.1, *more, variables=variables)
    for finished in (undisturbed.result(), commands.train(tmp_path / "killed", *more, variables=variables)):
        assert finished.status == 0, finished.stderr
    assert "Resuming from episode" in finished.stdout
    _assert_same_bits(saved, tmp_path / "killed", tmp_path / "undisturbed")


@_of("data truncated", "data flipped")
def test_damaged_newest_backup_is_said_and_the_one_before_leads_to_the_same_bits(scenario, trained, saved, commands):
    run, finished = scenario
    assert finished.status == 0, finished.stderr
    (line,) = finished.own_lines
    assert f"episode-{commands.episodes} is damaged" in line
    assert f"Resuming from episode {2 * commands.interval} " in finished.stdout
    _assert_same_bits(saved, run, trained)


@_of("save killed")
def test_what_a_killed_save_left_is_ignored_and_cleared(scenario, trained, saved):
    run, finished = scenario
    assert finished.status == 0
    assert not finished.own_lines
    assert not list((run / "backup").glob("unfinished*"))
    _assert_same_bits(saved, run, trained)


@_of("all damaged")
def test_every_backup_damaged_is_refused_and_nothing_removed(scenario, trained):
    run, finished = scenario
    assert finished.status == 1
    (line,) = (line for line in finished.own_lines if line.startswith("ml_lstm.train: "))
    assert "every checkpoint is damaged" in line
    assert "Traceback" not in finished.stderr
    names = {path.relative_to(run) for path in run.rglob("*")}
    assert names == {path.relative_to(trained) for path in trained.rglob("*")}


@_of("not finite at once")
def test_non_finite_loss_before_any_save_names_the_episode_and_saves_nothing(scenario):
    run, (trained, evaluated) = scenario
    assert "not finite at episode 2." in trained.refusal()
    assert not (run / "backup").exists()
    assert "no checkpoint yet" in evaluated.refusal()


@_of("not finite later")
def test_non_finite_loss_keeps_the_last_good_checkpoint(scenario, saved):
    run, (trained, evaluated) = scenario
    assert "not finite at episode 2." in trained.refusal()
    assert saved(run).number == 2
    assert evaluated.status == 0, evaluated.stderr


@_of("file size limited", "disk full")
def test_no_space_left_is_one_line_and_what_was_saved_is_intact(scenario, trained, saved):
    run, full = scenario
    if full is None:
        pytest.skip("a small file system cannot be mounted here, or coverage is measured, which writes a file")
    assert "Free some space" in full.refusal()
    run = run if (run / "backup").exists() else run.with_name("after")
    assert not list((run / "backup").glob("unfinished*"))
    _assert_same_bits(saved, run, trained)


@pytest.fixture(scope="module")
def events(trained):
    """`events(part)`: what TensorBoard reads of `train`, `validation` or `episodes`."""

    def read(part):
        return EventAccumulator(str(trained / part), size_guidance={"tensors": 0}).Reload()

    return read


def _values(accumulator, tag):
    return [tf.make_ndarray(event.tensor_proto) for event in accumulator.Tensors(tag)]


@pytest.mark.parametrize(
    ("part", "tag", "low", "high"),
    [
        ("train", "epoch_loss", 0, math.inf),
        ("train", "epoch_accuracy", 0, 1),
        ("train", "epoch_gradient_norm", 0, math.inf),
        ("train", "epoch_episodes_per_second", 0, math.inf),
        ("validation", "epoch_loss", 0, math.inf),
        ("validation", "epoch_accuracy", 0, 1),
        ("episodes", "mean_input_gate", 0, 1),
        ("episodes", "mean_forget_gate", 0, 1),
    ],
)
def test_tensorboard_has_a_scalar_for_each_epoch(part, tag, low, high, events):
    values = np.array(_values(events(part), tag))
    assert values.shape == (3,)
    assert np.all((low <= values) & (values <= high) & np.isfinite(values))


def test_validation_accuracy_on_tensorboard_is_the_recorded_one(events, trained, saved):
    recorded = [accuracy for _, accuracy in saved(trained).validations]
    np.testing.assert_allclose(_values(events("validation"), "epoch_accuracy"), recorded, rtol=1e-6)


@pytest.mark.parametrize("gate", ["input_gate", "forget_gate"])
def test_tensorboard_has_histograms_of_the_gates(gate, events):
    accumulator = events("episodes")
    assert accumulator.SummaryMetadata(gate).plugin_data.plugin_name == "histograms"
    for buckets in _values(accumulator, gate):
        edges, counts = buckets[:, :2], buckets[:, 2]
        assert np.all((edges >= 0) & (edges <= 1))
        assert counts.sum() > 100  # one count a coordinate and inner step


@pytest.mark.parametrize(
    ("part", "tag"),
    [
        ("train", "epoch_loss"),
        ("validation", "epoch_accuracy"),
        ("episodes", "mean_input_gate"),
        ("train", "epoch_learning_rate"),
    ],
)
def test_tensorboard_counts_episodes(part, tag, events, commands):
    steps = [event.step for event in events(part).Tensors(tag)]
    assert steps == [commands.interval, 2 * commands.interval, 3 * commands.interval]


@pytest.mark.parametrize("above", [False, True])
def test_hparams_has_the_validation_accuracy_as_a_metric(above, trained):
    logdir = str(trained.parent if above else trained)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(logdir).Reload()
    plugin = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, logdir)))
    request, experiment = RequestContext(), ""
    found = plugin.experiment_from_metadata(request, experiment, True, plugin.hparams_metadata(request, experiment), [])
    assert ("epoch_accuracy", "") in {(metric.name.tag, metric.name.group) for metric in found.metric_infos}
    assert {"learning_rate", "inner_steps", "dataset"} <= {hparam.name for hparam in found.hparam_infos}


def test_tensorboard_has_the_flags_as_hparams(events):
    metadata = events("validation").SummaryMetadata("_hparams_/session_start_info")
    assert metadata.plugin_data.plugin_name == "hparams"
    for word in (b"learning_rate", b"inner_steps", b"glyphs"):
        assert word in metadata.plugin_data.content


def test_tensorboard_has_the_episode_as_a_picture(events):
    pictures = _values(events("episodes"), "meta_validation_episode")
    assert len(pictures) == 3
    width, height, png = pictures[-1]
    decoded = tf.io.decode_png(png)
    assert decoded.shape[:2] == (int(height), int(width))
    # Five classes of a support image and two queries each, all 16 pixels wide or shown larger.
    assert 5 * 16 < decoded.shape[0] < 4000
    assert 3 * 16 < decoded.shape[1] < 4000
    assert len(np.unique(decoded)) > 10
