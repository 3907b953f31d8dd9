"""Measures whether training waits for its episodes: python -m benchmarks.sampling --setting=a|b --augment=photo|affine

Two trainings of one setting of `benchmarks.meta_step` take turns in one process: on episodes sampled and augmented
continuously, as in `ml_lstm.train`, and on one batch of them that is ready beforehand. Then it measures how long
a new process takes until its first batch; in a second run, decoded images are in the cache.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags, logging

from benchmarks.meta_step import SETTINGS, Setting, build
from benchmarks.timing import seconds
from ml_lstm import data
from ml_lstm.command_line import command, devices, records
from ml_lstm.data.augmentation import AUGMENTATIONS

FLAGS = flags.FLAGS

_BLOCK = 20  # steps in a turn; the sampler works ahead by four, during the other's turn


def few_shot_data(setting: Setting, dataset: str, augment: str, **places) -> data.FewShotData:
    """Episodes of a setting, from any source; grey images become three channels if the setting has colours."""
    height, _, channels = setting.image_shape
    found = data.load(
        dataset,
        n_way=setting.n_way,
        k_shot=setting.k_shot,
        n_query=setting.n_query,
        image_size=height,
        augment=augment,
        **places,
    )
    found.require_channels(channels)
    return found


def measure(setting: Setting, source: data.FewShotData, turns: int, meta_batch_size: int = 1) -> dict[str, Any]:
    """Trains in turn on sampled episodes and on one batch of them.

    Args:
        setting: what to train on.
        source: of the episodes.
        turns: of twenty steps each, after one of each kind that does not count.
        meta_batch_size: episodes in a step.

    Returns:
        Episodes per second of both, medians over turns; the median and the quartiles of their ratio, turn by turn.
    """
    method = build(setting)
    sampled = source.train.batch(meta_batch_size, drop_remainder=True).prefetch(2)
    first = next(iter(sampled))
    iterators = {"sampled": iter(sampled), "fixed": iter(tf.data.Dataset.from_tensors(first).repeat().prefetch(2))}
    rates = {name: [] for name in iterators}
    for turn in range(turns + 1):
        for name, batches in iterators.items():
            took = sum(seconds(lambda batches=batches: float(method.train_function(batches)["loss"]), _BLOCK))
            if turn:
                rates[name].append(_BLOCK * meta_batch_size / took)
    ratios = np.divide(rates["sampled"], rates["fixed"])
    return {
        **{f"episodes_per_second_{name}": statistics.median(found) for name, found in rates.items()},
        "ratio": float(np.median(ratios)),
        "ratio_quartiles": np.quantile(ratios, [0.25, 0.75]).tolist(),
    }


_FIRST_BATCH = """
from benchmarks.meta_step import SETTINGS
from benchmarks.sampling import few_shot_data
source = few_shot_data(SETTINGS[{setting!r}], {dataset!r}, {augment!r}, **{places!r})
next(iter(source.train.batch({meta_batch_size})))
"""


def first_batch_seconds(setting: str, dataset: str, augment: str, meta_batch_size: int, **places) -> float:
    """Seconds from the start of a process, over the imports and the loading, to the first meta-batch."""
    script = _FIRST_BATCH.format(**locals())
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    return time.perf_counter() - begin


_TABLE = """\
setting             {setting}, {dataset}, --augment={augment}, meta-batch {meta_batch_size}
episodes/s sampled  {episodes_per_second_sampled:.2f}
episodes/s fixed    {episodes_per_second_fixed:.2f}
ratio               {ratio:.3f} (quartiles {low:.3f} to {high:.3f}), {turns} turns
first batch, s      {first_batch_seconds:.1f} from the start of the process
device              {device}
threads             intra-op {intra_op_threads}, inter-op {inter_op_threads} (0: TensorFlow's choice)
commit              {commit}"""


def main() -> None:
    """Measures the setting named by the flags, prints a table and writes the same to `--json`."""
    devices.use_as_flagged()
    names = ("setting", "dataset", "augment", "turns", "meta_batch_size", "intra_op_threads", "inter_op_threads")
    places = {"data_dir": FLAGS.data_dir, "cache_dir": FLAGS.cache_dir}
    setting = SETTINGS[FLAGS.setting]
    source = few_shot_data(setting, FLAGS.dataset, FLAGS.augment, **places)
    results = {
        **{name: FLAGS[name].value for name in names},
        "tensorflow": tf.__version__,
        "device": devices.describe(),
        "commit": records.commit(),
        **measure(setting, source, FLAGS.turns, FLAGS.meta_batch_size),
        "first_batch_seconds": first_batch_seconds(
            FLAGS.setting, FLAGS.dataset, FLAGS.augment, FLAGS.meta_batch_size, **places
        ),
    }
    low, high = results["ratio_quartiles"]
    print(_TABLE.format(**results | {"device": devices.in_words(results["device"])}, low=low, high=high))
    if FLAGS.json:
        records.write_json(Path(FLAGS.json), results)


if __name__ == "__main__":
    flags.DEFINE_enum("setting", "a", sorted(SETTINGS), "See benchmarks.meta_step.")
    flags.DEFINE_enum("dataset", "glyphs", sorted(data.SOURCES), "Source of the images.")
    flags.DEFINE_enum("augment", "photo", sorted(AUGMENTATIONS), "Augmentation of the images.")
    flags.DEFINE_string("data_dir", None, "See ml_lstm.train.")
    flags.DEFINE_string("cache_dir", None, "See ml_lstm.train.")
    flags.DEFINE_integer("turns", 8, "Number of turns, of twenty steps each.", lower_bound=1)
    flags.DEFINE_integer("meta_batch_size", 1, "Episodes in a step.", lower_bound=1)
    flags.DEFINE_string("json", None, "File to write the results to.")
    devices.define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
