"""Runs are evaluated in other steps, and on other images, than they were trained with; and their gates are watched."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml_lstm import evaluation
from ml_lstm.data import load
from ml_lstm.episode import Episode, Problem
from ml_lstm.runs import RunDirectory, settings, trained_method
from ml_lstm.training import Progress
from tests import forks

STATISTICS = {1: ([0.8], [0.3]), 3: ([0.7, 0.5, 0.2], [0.2, 0.3, 0.4])}


def saved(path, channels=1, **chosen):
    """A run that was saved before its first episode."""
    values = settings.complete({"filters": 4, "image_size": 16, "n_query": 2} | chosen)
    problem = Problem((16, 16, channels), 5, None, *STATISTICS[channels])
    found = RunDirectory(path)
    found.create(settings.bound(values), problem, load("glyphs", image_size=16).class_digest())
    found.backup(model=settings.build_method(values, problem), progress=Progress()).save(0)
    return found


def run(command, *words):
    return forks.run(f"ml_lstm.{command}", *words)


@pytest.fixture(scope="module")
def meta_lstm(tmp_path_factory):
    options = {"hidden_units": 2, "inner_steps": 2, "input_gate_bias": [-1.0, 0.0]}
    return saved(tmp_path_factory.mktemp("runs") / "run", method="meta_lstm", **options)


@pytest.fixture(scope="module")
def prototypical(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("runs") / "run", 3, method="prototypical")


@pytest.mark.slow
def test_a_run_is_evaluated_in_other_steps_and_in_its_own_as_ever(meta_lstm):
    for steps in (2, 7):
        ended = run("evaluate", f"--run_dir={meta_lstm.path}", "--episodes=20", f"--inner_steps={steps}")
        assert ended.returncode == 0, ended.stderr
        assert ("7 inner step(s), 20 episodes" in ended.stdout) == (steps == 7)
    episodes = load("glyphs", image_size=16, n_query=2).sampler("test").dataset(count=20)
    method, *_ = trained_method(meta_lstm)
    accuracies = {}
    for steps, name in ((2, ""), (7, "-7steps")):
        path = meta_lstm.path / f"evaluate-glyphs-test-5way-1shot-2query-20episodes{name}.json"
        result = json.loads(path.read_text())
        assert (result.get("inner_steps"), result["flags"]["inner_steps"]) == ({2: None, 7: 7}[steps], 2)
        method.served_inner_steps = steps
        accuracies[steps] = result["accuracy"]
        assert result["accuracy"] == pytest.approx(evaluation.episode_accuracies(method, episodes).mean(), abs=0.011)
    assert accuracies[2] != accuracies[7]
    assert sorted(found["inner_steps"] or 0 for found in meta_lstm.evaluations()) == [0, 7]


def test_gates_of_a_run_are_written_and_drawn(meta_lstm, tmp_path):
    pytest.importorskip("matplotlib", reason="the benchmarks' matplotlib is not installed: make .venv/bench")
    files = f"--json={tmp_path / 'gates.json'}", f"--png={tmp_path / 'gates.png'}"
    ended = run("gates", f"--run_dir={meta_lstm.path}", "--episodes=3", "--parameters_seed=4", *files)
    assert ended.returncode == 0, ended.stderr
    record = json.loads((tmp_path / "gates.json").read_text())
    episodes = load("glyphs", image_size=16, n_query=2).sampler("test").dataset(count=3)
    expected = evaluation.gate_values(trained_method(meta_lstm)[0], episodes, seed=4)
    assert record["parameters"] == expected.parameters
    for name in ("input_gates", "forget_gates"):
        assert np.shape(record[name]) == (3, 2, 5)
        np.testing.assert_allclose(record[name], getattr(expected, name), atol=1e-5)
    assert (record["k_shot"], record["split"], record["flags"]["inner_steps"]) == (1, "test", 2)
    assert Image.open(tmp_path / "gates.png").size[0] > 1000
    forget = re.search(rf"{record['layers'][2]}: forget gate ([\d.]+)", ended.stdout)[1]
    assert float(forget) == pytest.approx(expected.forget_gates[..., 2].mean(), abs=1e-4)


def test_what_has_neither_steps_nor_gates_says_so(prototypical, tmp_path):
    refused = run("evaluate", f"--run_dir={prototypical.path}", "--inner_steps=2")
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert last == "ml_lstm.evaluate: prototypical has no inner steps: leave out --inner_steps."
    refused = run("gates", f"--run_dir={prototypical.path}", f"--json={tmp_path / 'gates.json'}")
    assert refused.returncode == 1
    assert "run: Only --method=meta_lstm with --cell=meta_lstm" in refused.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_run_of_coloured_images_sees_grey_ones_in_three_channels_by_its_own_statistics(prototypical):
    ended = run("evaluate", f"--run_dir={prototypical.path}", "--dataset=glyphs", "--episodes=40", "--k_shot=2")
    assert ended.returncode == 0, ended.stderr
    assert "trained on images of 3 channel(s): glyphs is converted to three equal channels" in ended.stdout
    path = prototypical.path / "evaluate-glyphs-test-5way-2shot-2query-40episodes.json"
    result = json.loads(path.read_text())
    found = [result["accuracy"], result["standard_deviation"]]

    method, *_ = trained_method(prototypical)

    def accuracies(mean, std):
        method.normalize = lambda images: ((images.numpy() / 255 - mean) / std).astype("float32")
        right = []
        for episode in load("glyphs", image_size=16, n_query=2, k_shot=2).sampler("test").dataset(count=40):
            support, labels, queries, of_queries = Episode(*episode)
            adaptation = method.adapt(tf.repeat(support, 3, axis=-1), labels)
            logits = method.classify(adaptation, tf.repeat(queries, 3, axis=-1))
            right.append(np.mean(logits.numpy().argmax(axis=1) == of_queries.numpy()))
        return [np.mean(right), np.std(right, ddof=1)]

    assert found == pytest.approx(accuracies(*STATISTICS[3]), abs=0.003)
    assert found != pytest.approx(accuracies([0.88] * 3, [0.27] * 3), abs=0.003)  # of glyphs
