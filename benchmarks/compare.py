"""Compares ml_lstm with PyTorch and with the machine's floor: python -m benchmarks.compare, or make bench

For each setting of `benchmarks.meta_step` it times a meta-training step on one episode, and adaptation to the episode's
support set together with the answers to its queries. The methods are the LSTM meta-learner, MAML and Prototypical
Networks, by `ml_lstm` and by PyTorch, in turn in one process. The PyTorch versions are the LSTM meta-learner in its
usual form, plain and through `torch.compile` (`benchmarks.plain_pytorch`), and the others as in EasyFSL and learn2learn
(`benchmarks.plain_pytorch_methods`). Then it times answers to queries from a cached adaptation beside a forward pass of
the learner in Keras, the floor of the LSTM meta-learner's meta-training step, and the learner's own part of this step.
All programs use all cores.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import torch
from absl import flags, logging

from benchmarks.meta_step import SETTINGS, Setting, build, floor, learner_seconds, random_episodes
from benchmarks.plain_pytorch import PlainMetaLSTM, episode_tensors
from benchmarks.plain_pytorch_methods import PlainMAML, PlainPrototypicalNetworks
from benchmarks.timing import measured_apart, seconds
from ml_lstm import learners, methods
from ml_lstm.command_line import command, devices, records
from ml_lstm.episode import Episode, Problem

FLAGS = flags.FLAGS

_TURN = 3

# Limits TensorFlow, its XLA and PyTorch on a newer processor to the instructions of an older one.
_HELD_TO = {
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        # Otherwise torch.compile would take code for other instructions from its cache.
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
    }
}


class _Method(NamedTuple):
    """A method in the comparison: the prefix of its results, and its name."""

    prefix: str
    name: str


METHODS = {
    "meta_lstm": _Method("", "LSTM meta-learner"),
    "maml": _Method("maml_", "MAML"),
    "prototypical": _Method("prototypical_", "Prototypical Networks"),
}

# From Finn et al. (2017) for mini-ImageNet and for Omniglot; the filters of Snell et al. (2017) and of EasyFSL.
_MAML_STEPS = {"a": 5, "b": 1}
_MAML_RATE = 0.01
_PROTOTYPICAL_FILTERS = 64


def measure(setting: Setting, method: str, repeats: int, maml_steps: int = 1) -> dict[str, Any]:
    """Times a method in both programs.

    Args:
        setting: what to train on.
        method: of `METHODS`.
        repeats: calls of each to time, rounded up to whole turns of three, after one turn that is not timed.
        maml_steps: inner steps of MAML.

    Returns:
        Medians in seconds per episode, named with the method's prefix in `METHODS`; for the LSTM meta-learner also the
        floor.
    """
    shape, episodes = setting.image_shape, random_episodes(setting, 1)
    problem = Problem(shape, setting.n_way)
    if method == "meta_lstm":
        return _measure_meta_lstm(setting, episodes, repeats)
    if method == "maml":
        learner = learners.conv4(shape, setting.n_way)
        ours = methods.MAML(learner, problem, inner_steps=maml_steps, inner_learning_rate=_MAML_RATE)
        theirs = PlainMAML
    else:
        features = learners.embedding(learners.conv4(shape, setting.n_way, filters=_PROTOTYPICAL_FILTERS))
        ours, theirs = methods.PrototypicalNetworks(features, problem), PlainPrototypicalNetworks
    ours.compile(optimizer=keras.optimizers.Adam(1e-3))
    ours.make_train_function()
    return _train_and_test(METHODS[method].prefix, ours, {"pytorch": theirs(ours, shape)}, episodes, repeats)


def _measure_meta_lstm(setting, episodes, repeats):
    ours = build(setting)
    episode = Episode(*(tf.constant(part[0]) for part in episodes))
    theirs = {"pytorch": PlainMetaLSTM(ours, setting.image_shape)}
    if shutil.which(os.environ.get("CXX", "g++")):
        theirs["pytorch_compiled"] = PlainMetaLSTM(ours, setting.image_shape, compiled=True)
    timed = _train_and_test("", ours, theirs, episodes, repeats)
    classify = tf.function(ours.classify)
    forward = tf.function(lambda images: ours.learner(images, training=False))
    cached = tf.function(ours.adapt)(episode.support_images, episode.support_labels)
    queries = ours.normalize(episode.query_images)
    predicted = in_turn(
        {
            "ours": lambda: classify(cached, episode.query_images).numpy(),
            "keras": lambda: forward(queries).numpy(),
        },
        repeats,
    )
    found = floor(setting, ours.learner)
    return {
        **timed,
        **{f"predict_seconds_{name}": value for name, value in predicted.items()},
        "learner_seconds": learner_seconds(setting, ours, repeats),
        "train_ratio_pytorch": timed["train_seconds_pytorch"] / timed["train_seconds_ours"],
        "train_ratio_floor": timed["train_seconds_ours"] / found["floor_seconds"],
        "test_ratio_pytorch": timed["test_seconds_pytorch"] / timed["test_seconds_ours"],
        "predict_ratio_keras": predicted["ours"] / predicted["keras"],
        **found,
    }


def work(setting: Setting, method: str) -> devices.Work:
    """The work of each thread, as `ml_lstm.train` computes it."""
    support, queries = setting.n_way * setting.k_shot, setting.n_way * setting.n_query
    return devices.Work(setting.image_shape[0], support + queries if method == "prototypical" else support)


def _train_and_test(prefix, ours, theirs, episodes, repeats) -> dict[str, float]:
    """Median seconds of a meta-training step, and of adaptation and answers, by all programs in turn."""
    episode = Episode(*(tf.constant(part[0]) for part in episodes))
    batches = iter(tf.data.Dataset.from_tensors(episodes).repeat())
    tensors = episode_tensors(episode, ours)
    optimizers = {name: torch.optim.Adam(model.parameters(), 1e-3) for name, model in theirs.items()}

    @tf.function
    def answer():
        adaptation = ours.adapt(episode.support_images, episode.support_labels)
        return ours.classify(adaptation, episode.query_images)

    def train(name):
        return lambda: theirs[name].meta_step(optimizers[name], tensors)

    def test(name):
        return lambda: theirs[name].meta_test(tensors).numpy()

    trained = in_turn(
        {"ours": lambda: float(ours.train_function(batches)["loss"]), **{name: train(name) for name in theirs}}, repeats
    )
    tested = in_turn({"ours": lambda: answer().numpy(), **{name: test(name) for name in theirs}}, repeats)
    return {
        **{f"{prefix}train_seconds_{name}": value for name, value in trained.items()},
        **{f"{prefix}test_seconds_{name}": value for name, value in tested.items()},
    }


def in_turn(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The median seconds of several calls, which take turns so that all meet the same conditions of the machine."""
    found = {name: [] for name in calls}
    for turn in range(-1, -(-repeats // _TURN)):
        for name, call in calls.items():
            took = seconds(call, _TURN)
            if turn >= 0:
                found[name] += took
    return {name: float(np.median(took)) for name, took in found.items()}


_HEAD = "{:44} {:>8} {:>8} {:>10} {:>8} {:>9} {:>10}".format(
    "", "ours, s", "other, s", "other/ours", "floor, s", "our/floor", "learner, s"
)
_ROW = "{:44} {:8.4f} {:8.4f} {:10.2f}"

_OTHERS = {"pytorch": "PyTorch", "pytorch_compiled": "torch.compile"}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The measurements of each setting, as text."""
    lines = [_HEAD]
    for setting, found in results.items():
        for prefix, method in METHODS.values():
            for what, words in (("train", "train"), ("test", "adapt+predict")):
                for other, name in _OTHERS.items():
                    if f"{prefix}{what}_seconds_{other}" in found:
                        title = f"({setting}) {method}, {words}, {name}"
                        lines.append(_row(title, found, f"{prefix}{what}", other))
                        if (prefix, what, other) == ("", "train", "pytorch"):
                            lines[-1] += (
                                f" {found['floor_seconds']:8.4f} {found['train_ratio_floor']:9.2f}"
                                f" {found['learner_seconds']:10.4f}"
                            )
        lines.append(_row(f"({setting}) predict, Keras forward", found, "predict", "keras"))
    return "\n".join(lines)


def _row(title, found, what, other):
    ours, theirs = (found[f"{what}_seconds_{program}"] for program in ("ours", other))
    return _ROW.format(title, ours, theirs, theirs / ours)


def _measured_apart(name):
    """A setting's results, with a separate process for each method, with the number of threads that suits it."""
    found = {"intra_op_threads": {}}
    for method in METHODS:
        flags = [f"--in_this_process={method}", f"--settings={name}", f"--repeats={FLAGS.repeats}"]
        found |= measured_apart("benchmarks.compare", flags)
        found["intra_op_threads"][method] = work(SETTINGS[name], method).threads()
    return found


def main() -> None:
    """Measures `--settings`, each in a separate process, prints a table and writes the same to `--json`."""
    if FLAGS.in_this_process:
        (name,) = FLAGS.settings
        steps = _MAML_STEPS[name]
        devices.use(work=work(SETTINGS[name], FLAGS.in_this_process))
        measured = measure(SETTINGS[name], FLAGS.in_this_process, FLAGS.repeats, steps)
        records.write_json(Path(FLAGS.json), measured)
        return
    os.environ.update(_HELD_TO.get(FLAGS.held_to, {}))
    results = {
        "repeats": FLAGS.repeats,
        "maml_steps": _MAML_STEPS,
        "tensorflow": tf.__version__,
        "pytorch": torch.__version__,
        "device": devices.describe(),
        "commit": records.commit(),
        "settings": {name: _measured_apart(name) for name in FLAGS.settings},
    }
    print(devices.in_words(results["device"]))
    print(table(results["settings"]))
    if FLAGS.json:
        records.write_json(Path(FLAGS.json), results)


if __name__ == "__main__":
    flags.DEFINE_multi_enum("settings", sorted(SETTINGS), sorted(SETTINGS), "See benchmarks.meta_step.")
    flags.DEFINE_integer("repeats", 15, "Number of timed runs of each call.", lower_bound=1)
    flags.DEFINE_enum(
        "held_to", None, sorted(_HELD_TO), "Instruction set that both programs are limited to, on a newer processor."
    )
    flags.DEFINE_string("json", None, "File to write the results to.")
    flags.DEFINE_enum(
        "in_this_process",
        None,
        sorted(METHODS),
        "Measure this method at the single given setting, and print nothing.",
    )
    logging.set_verbosity(logging.WARNING)
    command.run(main)
