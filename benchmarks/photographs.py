"""Measures how long a start takes with a user's photographs: python -m benchmarks.photographs --work_dir=DIR

Writes a synthetic folder of large JPEG files (unless DIR has it already), then loads it by `--dataset=folder` with an
empty cache, and again, each in a separate process.
"""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags, logging
from PIL import Image

from benchmarks.timing import measured_apart, peak_resident_bytes, seconds
from ml_lstm.command_line import command, devices, records
from ml_lstm.data.sources import folder

FLAGS = flags.FLAGS

CLASSES = 20
_SCENES = 8


def write_photographs(root: Path, count: int, width: int, height: int) -> None:
    """Writes `root/class_00/0000.jpg` and so on: large shapes with camera noise; every eighth is the same file."""
    scenes = [_photograph(seed, width, height) for seed in range(_SCENES)]
    for number in range(count):
        directory = root / f"class_{number % CLASSES:02}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{number:04}.jpg").write_bytes(scenes[number % _SCENES])


def _photograph(seed, width, height):
    random = np.random.default_rng(seed)
    shapes = Image.fromarray(random.integers(256, size=(15, 20, 3)).astype(np.uint8))
    smooth = np.asarray(shapes.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    noisy = smooth + random.integers(-5, 6, (height, width, 1), np.int16)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def measure(photographs: str, cache_dir: str, image_size: int) -> dict[str, Any]:
    """Loads a folder; returns seconds, and the process's memory before and at its peak in bytes."""
    before = peak_resident_bytes()
    (took,) = seconds(lambda: folder.load(image_size, data_dir=photographs, cache_dir=cache_dir), 1)
    return {"seconds": took, "resident_bytes_before": before, "peak_resident_bytes": peak_resident_bytes()}


def main() -> None:
    """Measures both starts, prints them and writes the same to `--json`."""
    work = Path(FLAGS.work_dir)
    photographs, cache = work / f"photographs_{FLAGS.photographs}", work / "cache"
    if FLAGS.in_this_process:
        records.write_json(Path(FLAGS.json), measure(str(photographs), str(cache), FLAGS.image_size))
        return
    if not photographs.exists():
        partly = photographs.with_suffix(".part")
        shutil.rmtree(partly, ignore_errors=True)
        write_photographs(partly, FLAGS.photographs, width=4000, height=3000)
        partly.rename(photographs)
    shutil.rmtree(cache, ignore_errors=True)
    arguments = ["--in_this_process", *(f"--{name}={FLAGS[name].value}" for name in _SETTING)]
    results = {start: measured_apart("benchmarks.photographs", arguments) for start in ("first", "second")}
    print(devices.in_words(devices.describe()))
    for start, found in results.items():
        peak, before = (found[name] / 2**20 for name in ("peak_resident_bytes", "resident_bytes_before"))
        print(f"{start:6} start {found['seconds']:8.2f} s {peak:8.0f} MiB at its peak, {before:.0f} MiB before")
    if FLAGS.json:
        about = {"tensorflow": tf.__version__, "device": devices.describe(), "commit": records.commit()}
        about |= {name: FLAGS[name].value for name in _SETTING if name != "work_dir"}
        records.write_json(Path(FLAGS.json), about | results)


_SETTING = ("work_dir", "photographs", "image_size")

if __name__ == "__main__":
    flags.DEFINE_string("work_dir", None, "Directory of the folder and the cache, some gigabytes.")
    flags.DEFINE_integer(
        "photographs", 1000, f"Number of photographs, of 12 megapixels, in {CLASSES} classes.", lower_bound=CLASSES
    )
    flags.DEFINE_integer("image_size", 84, "Side in pixels that they are resized to.", lower_bound=16)
    flags.DEFINE_string("json", None, "File to write the results to.")
    flags.DEFINE_boolean("in_this_process", False, "Measure one start, and print nothing.")
    flags.mark_flag_as_required("work_dir")
    logging.set_verbosity(logging.WARNING)
    command.run(main)
