"""Compares a data set larger than memory with one in memory: python -m benchmarks.large_set --work_dir=DIR

Writes a synthetic folder of JPEG files (unless DIR has it already), then trains setting (a) of `benchmarks.meta_step`
on it, each time in a separate process: on one fixed episode, which shows TensorFlow's own memory; with the default
`--max_pool_memory`, so that images are read from disk, where the first run also writes them; and with all images in
memory. The last two are repeated in turn.
"""

import multiprocessing
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags, logging
from PIL import Image

from benchmarks.meta_step import SETTINGS, build, random_episodes
from benchmarks.timing import peak_resident_bytes, seconds
from ml_lstm import data
from ml_lstm.command_line import command, devices, records
from ml_lstm.data.stored import StoredImages

FLAGS = flags.FLAGS

SETTING = SETTINGS["a"]
PER_CLASS = 500
KINDS = ("fixed", "disk", "memory")


def write_pictures(root: Path, images: int) -> None:
    """Writes `root/class_0000/000.jpg` and so on: noise in blocks of 12 pixels, with another colour for each class."""

    def write(number):
        random = np.random.default_rng(number)
        directory = root / f"class_{number:04}"
        directory.mkdir(parents=True, exist_ok=True)
        colour = random.integers(256, size=3)
        for index in range(PER_CLASS):
            blocks = (random.integers(256, size=(7, 7, 3)) + colour) // 2
            picture = np.kron(blocks, np.ones((12, 12, 1))).astype(np.uint8)
            Image.fromarray(picture).save(directory / f"{index:03}.jpg")

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(images // PER_CLASS)))


def measure(kind: str, pictures: str, cache_dir: str, steps: int) -> dict[str, Any]:
    """Trains on a folder, one episode in a step.

    Args:
        kind: `"fixed"` for one episode of random pixels; `"disk"` with the default `--max_pool_memory`, which the
            folder must exceed; `"memory"` without this limit.
        pictures: the folder.
        cache_dir: where images are written to.
        steps: number of steps to time, after three that are not timed.

    Returns:
        Seconds to load the data, episodes per second, and the process's peak memory.
    """
    if kind == "fixed":
        load_seconds = 0.0
        batches = tf.data.Dataset.from_tensors(random_episodes(SETTING, 1)).repeat()
    else:
        limit = {} if kind == "disk" else {"max_pool_memory": 1e6}
        found = []
        (load_seconds,) = seconds(
            lambda: found.append(
                data.load(
                    "folder",
                    n_way=SETTING.n_way,
                    k_shot=SETTING.k_shot,
                    n_query=SETTING.n_query,
                    image_size=SETTING.image_shape[0],
                    data_dir=pictures,
                    cache_dir=cache_dir,
                    **limit,
                )
            ),
            1,
        )
        if isinstance(found[0].pools["train"].images, StoredImages) != (kind == "disk"):
            raise ValueError(f"{pictures} is too small for --max_pool_memory: raise --images.")
        batches = found[0].train.batch(1)
    method = build(SETTING)
    iterator = iter(batches.prefetch(2))
    took = seconds(lambda: float(method.train_function(iterator)["loss"]), 3 + steps)[3:]
    return {
        "kind": kind,
        "load_seconds": load_seconds,
        "episodes_per_second": 1 / statistics.median(took),
        "peak_resident_bytes": peak_resident_bytes(),
    }


def _child(connection, *arguments):
    logging.set_verbosity(logging.ERROR)
    connection.send(measure(*arguments))


def _in_a_process(*arguments) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


_ROW = "{kind:8} {load_seconds:>9.1f} {episodes_per_second:>11.2f} {peak:>10.0f} {above:>10.0f}"
_HEAD = "{:8} {:>9} {:>11} {:>10} {:>10}".format("", "load, s", "episodes/s", "peak, MiB", "above, MiB")


def main() -> None:
    """Measures each kind, prints a table and writes the same to `--json`."""
    pictures = Path(FLAGS.work_dir) / f"pictures_{FLAGS.images}"
    done = pictures.with_suffix(".done")
    if not done.exists():
        write_pictures(pictures, FLAGS.images)
        done.touch()
    print(_HEAD)
    rows = []
    for kind in ["fixed"] + ["disk", "memory"] * FLAGS.rounds:
        row = _in_a_process(kind, str(pictures), str(Path(FLAGS.work_dir) / "cache"), FLAGS.steps)
        row["resident_bytes_above_fixed"] = row["peak_resident_bytes"] - (rows or [row])[0]["peak_resident_bytes"]
        peak, above = (row[name] / 2**20 for name in ("peak_resident_bytes", "resident_bytes_above_fixed"))
        print(_ROW.format(**row, peak=peak, above=above))
        rows.append(row)
    rates = {
        kind: statistics.median(row["episodes_per_second"] for row in rows if row["kind"] == kind) for kind in KINDS
    }
    print(f"disk / memory {rates['disk'] / rates['memory']:.2f}, {FLAGS.images} images")
    if FLAGS.json:
        about = {"tensorflow": tf.__version__, "device": devices.describe(), "commit": records.commit()}
        about |= {name: FLAGS[name].value for name in ("images", "rounds", "steps")}
        ratio = rates["disk"] / rates["memory"]
        records.write_json(Path(FLAGS.json), about | {"measurements": rows, "ratio_disk_to_memory": ratio})


if __name__ == "__main__":
    flags.DEFINE_string("work_dir", None, "Directory of the folder and the cache, several gigabytes.")
    # Fewer would fit in the 2048 MiB of --max_pool_memory.
    flags.DEFINE_integer("images", 200_000, "Number of images; 500 in each class.", lower_bound=102_000)
    flags.DEFINE_integer("rounds", 2, "Number of runs of both kinds.", lower_bound=1)
    flags.DEFINE_integer("steps", 30, "Number of timed steps in each run.", lower_bound=1)
    flags.DEFINE_string("json", None, "File to write the results to.")
    flags.mark_flag_as_required("work_dir")
    logging.set_verbosity(logging.WARNING)
    command.run(main)
