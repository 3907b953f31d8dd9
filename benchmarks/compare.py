"""Ours beside the same in PyTorch and beside the machine's floor: python -m benchmarks.compare, or make bench

For each setting of `benchmarks.meta_step`, in one process: a meta-training step on one episode, and adaptation to its
support set with the answers to its queries, by `ml_lstm` and by `benchmarks.plain_pytorch`, in turn; the answers to
queries by a cached adaptation beside a forward pass of the learner by Keras; then the floor of the meta-training step,
and what the learner alone takes of it. First-order meta-gradients, all cores for both.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import torch
from absl import flags, logging

from benchmarks.meta_step import SETTINGS, Setting, build, floor, learner_seconds, random_episodes
from benchmarks.plain_pytorch import PlainMetaLSTM, episode_tensors
from benchmarks.timing import measured_apart, seconds
from ml_lstm.command_line import command, devices, records
from ml_lstm.episode import Episode

FLAGS = flags.FLAGS

_TURN = 3

# What holds TensorFlow, its XLA and PyTorch on a newer processor to the instructions of an older one.
_HELD_TO = {
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
}

# As configs/ has it: an operation on five images of 28x28 is too small to share among threads.
_INTRA_OP_THREADS = {"a": 0, "b": 1}


def measure(setting: Setting, repeats: int) -> dict[str, Any]:
    """Times both programs and the floor.

    Args:
        setting: what to train on.
        repeats: calls to time of each, rounded up to whole turns of three, after one turn that is not.

    Returns:
        Medians, seconds an episode, and their ratios.
    """
    ours = build(setting)
    theirs = PlainMetaLSTM(ours, setting.image_shape)
    optimizer = torch.optim.Adam(theirs.parameters(), 1e-3)
    episodes = random_episodes(setting, 1)
    episode = Episode(*(tf.constant(part[0]) for part in episodes))
    tensors = episode_tensors(episode, ours)
    batches = iter(tf.data.Dataset.from_tensors(episodes).repeat())

    adapt = tf.function(ours.adapt)
    classify = tf.function(ours.classify)
    forward = tf.function(lambda images: ours.learner(images, training=False))
    cached, queries = adapt(episode.support_images, episode.support_labels), ours.normalize(episode.query_images)

    @tf.function
    def answer():
        adaptation = ours.adapt(episode.support_images, episode.support_labels)
        return ours.classify(adaptation, episode.query_images)

    trained = in_turn(
        {
            "ours": lambda: float(ours.train_function(batches)["loss"]),
            "pytorch": lambda: theirs.meta_step(optimizer, tensors),
        },
        repeats,
    )
    tested = in_turn({"ours": lambda: answer().numpy(), "pytorch": lambda: theirs.meta_test(tensors).numpy()}, repeats)
    predicted = in_turn(
        {
            "ours": lambda: classify(cached, episode.query_images).numpy(),
            "keras": lambda: forward(queries).numpy(),
        },
        repeats,
    )
    found = floor(setting, ours.learner)
    return {
        **{f"train_seconds_{name}": value for name, value in trained.items()},
        **{f"test_seconds_{name}": value for name, value in tested.items()},
        **{f"predict_seconds_{name}": value for name, value in predicted.items()},
        "learner_seconds": learner_seconds(setting, ours, repeats),
        "train_ratio_pytorch": trained["pytorch"] / trained["ours"],
        "train_ratio_floor": trained["ours"] / found["floor_seconds"],
        "test_ratio_pytorch": tested["pytorch"] / tested["ours"],
        "predict_ratio_keras": predicted["ours"] / predicted["keras"],
        **found,
    }


def in_turn(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The median seconds of each of some calls, which take turns so that all meet the same machine."""
    found = {name: [] for name in calls}
    for turn in range(-1, -(-repeats // _TURN)):
        for name, call in calls.items():
            took = seconds(call, _TURN)
            if turn >= 0:
                found[name] += took
    return {name: float(np.median(took)) for name, took in found.items()}


_HEAD = "{:28} {:>9} {:>9} {:>10} {:>9} {:>9} {:>10}".format(
    "", "ours, s", "other, s", "other/ours", "floor, s", "our/floor", "learner, s"
)
_ROW = "{:28} {:9.4f} {:9.4f} {:10.2f}"


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """What was measured of each setting, to be read by people."""
    lines = [_HEAD]
    for name, found in results.items():
        rows = {
            f"({name}) train, PyTorch": ("train", "pytorch"),
            f"({name}) adapt+predict, PyTorch": ("test", "pytorch"),
            f"({name}) predict, Keras forward": ("predict", "keras"),
        }
        for title, (what, other) in rows.items():
            ours, theirs = (found[f"{what}_seconds_{program}"] for program in ("ours", other))
            lines.append(_ROW.format(title, ours, theirs, theirs / ours))
        lines[-3] += (
            f" {found['floor_seconds']:9.4f} {found['train_ratio_floor']:9.2f} {found['learner_seconds']:10.4f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures `--settings`, each in a process of its own, prints a table and writes the same to `--json`."""
    if FLAGS.in_this_process:
        (name,) = FLAGS.settings
        devices.use(intra_op_threads=_INTRA_OP_THREADS[name])
        records.write_json(Path(FLAGS.json), measure(SETTINGS[name], FLAGS.repeats))
        return
    os.environ.update(_HELD_TO.get(FLAGS.held_to, {}))
    repeats = f"--repeats={FLAGS.repeats}"
    results = {
        "repeats": FLAGS.repeats,
        "intra_op_threads": _INTRA_OP_THREADS,
        "tensorflow": tf.__version__,
        "pytorch": torch.__version__,
        "device": devices.describe(),
        "commit": records.commit(),
        "settings": {
            name: measured_apart("benchmarks.compare", ["--in_this_process", f"--settings={name}", repeats])
            for name in FLAGS.settings
        },
    }
    print(devices.in_words(results["device"]))
    print(table(results["settings"]))
    if FLAGS.json:
        records.write_json(Path(FLAGS.json), results)


if __name__ == "__main__":
    flags.DEFINE_multi_enum("settings", sorted(SETTINGS), sorted(SETTINGS), "See benchmarks.meta_step.")
    flags.DEFINE_integer("repeats", 15, "Of each call.", lower_bound=1)
    flags.DEFINE_enum(
        "held_to", None, sorted(_HELD_TO), "Instructions that both programs make do with, on a newer processor."
    )
    flags.DEFINE_string("json", None, "File to write the results to.")
    flags.DEFINE_boolean("in_this_process", False, "Measure the one setting that is named here, and print nothing.")
    logging.set_verbosity(logging.WARNING)
    command.run(main)
