"""Compares one thread in an operation with all cores, by size of images: python -m benchmarks.threads

Meta-training steps of the LSTM meta-learner (5-way 1-shot, 5 inner steps on the support set) and of Prototypical
Networks (the same episodes, 80 images in an operation), with one episode and with four in parallel, with
`--intra_op_threads=1` and with all cores. The default of `ml_lstm` (`devices.Work`) follows these results.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import flags, logging

from benchmarks import meta_step
from benchmarks.timing import measured_apart, seconds
from ml_lstm import learners, methods
from ml_lstm.command_line import command, devices, records
from ml_lstm.episode import Problem

FLAGS = flags.FLAGS

SIZES = (28, 40, 56, 84)
_METHODS = ("meta_lstm", "prototypical")


def measure(method: str, image_size: int, meta_batch_size: int, threads: int, repeats: int) -> dict[str, Any]:
    """Median seconds per episode of meta-training steps, after three that are not timed."""
    devices.use(intra_op_threads=threads)
    shape = (image_size, image_size, 3)
    setting = meta_step.Setting(shape, n_way=5, k_shot=1, n_query=15, inner_steps=5, inner_batch_size=5, hidden_units=4)
    if method == "meta_lstm":
        trained, images = meta_step.build(setting), 5
    else:
        trained = methods.PrototypicalNetworks(learners.embedding(learners.conv4(shape, 5)), Problem(shape, 5))
        trained.compile(optimizer=keras.optimizers.Adam(1e-3))
        trained.make_train_function()
        images = 80
    batches = iter(tf.data.Dataset.from_tensors(meta_step.random_episodes(setting, meta_batch_size)).repeat())
    steps = seconds(lambda: float(trained.train_function(batches)["loss"]), 3 + repeats)[3:]
    return {
        "method": method,
        "image_size": image_size,
        "images": images,
        "meta_batch_size": meta_batch_size,
        "intra_op_threads": threads,
        "picked": devices.Work(image_size, images, meta_batch_size).threads(),
        "seconds_per_episode": statistics.median(steps) / meta_batch_size,
    }


def table(points: Sequence[dict[str, Any]]) -> str:
    """Seconds per episode, a row for each two points that differ only in threads."""
    rows = {}
    for point in points:
        key = tuple(point[name] for name in ("method", "image_size", "meta_batch_size", "picked"))
        rows.setdefault(key, {})[point["intra_op_threads"]] = point["seconds_per_episode"]
    lines = [f"{'':44} {'one':>8} {'all':>8}  picked"]
    for (method, size, batch, picked), found in rows.items():
        title = f"{method}, {size}x{size}, {batch} at a time"
        lines.append(f"{title:44} {found[1]:8.4f} {found[0]:8.4f}  {'one' if picked == 1 else 'all'}")
    return "\n".join(lines)


def main() -> None:
    """Measures all points, each in a separate process, prints a table and writes the same to `--json`."""
    if FLAGS.point:
        method, *numbers = FLAGS.point
        records.write_json(Path(FLAGS.json), measure(method, *map(int, numbers), FLAGS.repeats))
        return
    points = [
        measured_apart(
            "benchmarks.threads", [f"--point={method},{size},{batch},{threads}", f"--repeats={FLAGS.repeats}"]
        )
        for method in _METHODS
        for batch in (1, 4)
        for size in SIZES
        for threads in (1, 0)
    ]
    device = devices.describe()
    print(devices.in_words(device))
    print(table(points))
    if FLAGS.json:
        result = {"repeats": FLAGS.repeats, "points": points, "tensorflow": tf.__version__}
        records.write_json(Path(FLAGS.json), result | {"device": device, "commit": records.commit()})


if __name__ == "__main__":
    flags.DEFINE_integer("repeats", 12, "Number of timed meta-steps of each.", lower_bound=1)
    flags.DEFINE_list("point", None, "Measure one point: method, size, episodes at a time, threads; print nothing.")
    flags.DEFINE_string("json", None, "File to write the results to.")
    logging.set_verbosity(logging.WARNING)
    command.run(main)
