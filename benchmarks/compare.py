"""Ours beside the same in PyTorch and beside the machine's floor: python -m benchmarks.compare, or make bench

For each setting of `benchmarks.meta_step`, in one process: a meta-training step on one episode, and adaptation to its
support set with the answers to its queries, by `ml_lstm` and by `benchmarks.plain_pytorch`, in turn; then the floor of
the meta-training step. First-order meta-gradients, all cores for both.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import torch
from absl import flags, logging

from benchmarks.meta_step import SETTINGS, Setting, build, floor, random_episodes
from benchmarks.plain_pytorch import PlainMetaLSTM, episode_tensors
from benchmarks.timing import seconds
from ml_lstm import command, devices, runs
from ml_lstm.episode import Episode
from ml_lstm.flags import define_device_flags

FLAGS = flags.FLAGS

_TURN = 3


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
    found = floor(setting, ours.learner)
    return {
        **{f"train_seconds_{name}": value for name, value in trained.items()},
        **{f"test_seconds_{name}": value for name, value in tested.items()},
        "train_ratio_pytorch": trained["pytorch"] / trained["ours"],
        "train_ratio_floor": trained["ours"] / found["floor_seconds"],
        "test_ratio_pytorch": tested["pytorch"] / tested["ours"],
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


_HEAD = "{:28} {:>9} {:>9} {:>9} {:>9} {:>9}".format("", "ours, s", "torch, s", "torch/our", "floor, s", "our/floor")
_ROW = "{:28} {:9.4f} {:9.4f} {:9.2f}"


def main() -> None:
    """Measures `--settings`, prints a table and writes the same to `--json`."""
    devices.use_threads(FLAGS.intra_op_threads, FLAGS.inter_op_threads)
    names = ("repeats", "intra_op_threads", "inter_op_threads")
    results = {
        **{name: FLAGS[name].value for name in names},
        "tensorflow": tf.__version__,
        "pytorch": torch.__version__,
        "device": devices.describe(),
        "commit": runs.commit(),
        "settings": {},
    }
    print(_HEAD)
    for name in FLAGS.settings:
        found = results["settings"][name] = measure(SETTINGS[name], FLAGS.repeats)
        row = [found[f"train_{what}"] for what in ("seconds_ours", "seconds_pytorch", "ratio_pytorch")]
        last = f" {found['floor_seconds']:9.4f} {found['train_ratio_floor']:9.2f}"
        print(_ROW.format(f"({name}) meta-training step", *row) + last)
        row = [found[f"test_{what}"] for what in ("seconds_ours", "seconds_pytorch", "ratio_pytorch")]
        print(_ROW.format(f"({name}) adapt and predict", *row))
    if FLAGS.json:
        runs.write_json(Path(FLAGS.json), results)


if __name__ == "__main__":
    flags.DEFINE_multi_enum("settings", sorted(SETTINGS), sorted(SETTINGS), "See benchmarks.meta_step.")
    flags.DEFINE_integer("repeats", 15, "Of each call.", lower_bound=1)
    flags.DEFINE_string("json", None, "File to write the results to.")
    define_device_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
