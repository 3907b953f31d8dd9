"""Measures how long commands take to start, and training to its first meta-step: python -m benchmarks.start

Each measurement has a separate process: the imports of TensorFlow and Keras, and a command's further imports; then, for
some configurations, the data, the method, the graph of a meta-step as Python traces it, its first run (TensorFlow
optimises the graph, and XLA compiles the update rule's blocks), and a later run.
"""

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import flags, logging

from benchmarks.timing import measured_apart
from ml_lstm.command_line import command, devices, flag_files, records
from ml_lstm.runs import settings

FLAGS = flags.FLAGS

COMMANDS = ("train", "evaluate", "export", "adapt", "serve")
CONFIGURATIONS = ("quickstart", "omniglot_5way_1shot", "omniglot_5way_1shot_maml", "omniglot_5way_1shot_prototypical")
VARIANTS = {"": {}, ", graph not optimised": {"disable_meta_optimizer": True}}  # by the suffix of the configuration
PHASES = ("data", "method", "trace", "compile", "later_step")

_IMPORT = """
import time
begin = time.perf_counter()
import tensorflow, keras
loaded = time.perf_counter()
import ml_lstm.{name}
print(loaded - begin, time.perf_counter() - loaded)
"""


def measure_imports(name: str, repeats: int) -> dict[str, Any]:
    """Median seconds for the imports of TensorFlow and Keras, and for a command's further imports."""
    program = [sys.executable, "-c", _IMPORT.format(name=name)]
    runs = [subprocess.run(program, check=True, capture_output=True, text=True).stdout for _ in range(repeats)]
    theirs, ours = zip(*(map(float, printed.split()) for printed in runs), strict=True)
    return {"command": name, "tensorflow": statistics.median(theirs), "ours": statistics.median(ours)}


def measure_first_step(configuration: str, variant: str = "") -> dict[str, Any]:
    """Seconds of each phase until a configuration has done its first meta-step, on `--dataset=glyphs`."""
    tf.config.optimizer.set_experimental_options(VARIANTS[variant])
    file = Path(__file__).parents[1] / "configs" / f"{configuration}.flags"
    settings.define_flags()
    argv = ["", f"--flagfile={file}", "--dataset=glyphs"]
    FLAGS(flag_files.with_contents(argv))
    values = settings.from_flags(argv)
    clock = [time.perf_counter()]
    data = settings.load_data(values)
    clock.append(time.perf_counter())
    method = settings.build_method(values, data.problem)
    method.compile(optimizer=settings.make_optimizer(method, values, 1))
    method.optimizer.build(method.trainable_variables)
    sample, size = method.training_sampler(data).sample, values.get("meta_batch_size", 1)
    batch = tf.nest.map_structure(lambda *tensors: tf.stack(tensors), *map(sample, range(size)))
    clock.append(time.perf_counter())
    step = tf.function(method.train_step, autograph=False)
    step.get_concrete_function(batch)
    clock.append(time.perf_counter())
    for _ in range(5):
        float(step(batch)["loss"])
        clock.append(time.perf_counter())
    *before, first, second, third, fourth, fifth = (after - before for before, after in itertools.pairwise(clock))
    later = statistics.median([second, third, fourth, fifth])
    return {"configuration": configuration + variant} | dict(zip(PHASES, [*before, first - later, later], strict=True))


def table(imports: Sequence[dict[str, Any]], first_steps: Sequence[dict[str, Any]]) -> str:
    """A row for each command, and one for each configuration."""
    lines = [f"{'':36} {'TensorFlow':>10} {'ours':>10}"]
    lines += [f"{row['command']:36} {row['tensorflow']:10.2f} {row['ours']:10.2f}" for row in imports]
    lines += [f"{'':36} " + " ".join(f"{phase:>10}" for phase in PHASES)]
    lines += [
        f"{row['configuration']:36} " + " ".join(f"{row[phase]:10.2f}" for phase in PHASES) for row in first_steps
    ]
    return "\n".join(lines)


def main() -> None:
    """Measures, prints a table and writes the same to `--json`."""
    if FLAGS.point:
        records.write_json(Path(FLAGS.json), measure_first_step(*FLAGS.point))
        return
    imports = [measure_imports(name, FLAGS.repeats) for name in COMMANDS]
    first_steps = []
    for name, variant in (*((name, "") for name in CONFIGURATIONS), (CONFIGURATIONS[0], ", graph not optimised")):
        runs = [
            measured_apart("benchmarks.start", [f"--point={name}", f"--point={variant}"]) for _ in range(FLAGS.repeats)
        ]
        medians = {phase: statistics.median(run[phase] for run in runs) for phase in PHASES}
        first_steps.append({"configuration": name + variant} | medians)
    device = devices.describe()
    print(devices.in_words(device))
    print(table(imports, first_steps))
    if FLAGS.json:
        result = {"repeats": FLAGS.repeats, "imports": imports, "first_steps": first_steps}
        result |= {"tensorflow": tf.__version__, "device": device, "commit": records.commit()}
        records.write_json(Path(FLAGS.json), result)


if __name__ == "__main__":
    flags.DEFINE_integer("repeats", 3, "Number of processes for each; the median counts.", lower_bound=1)
    flags.DEFINE_multi_string(
        "point", None, "Measure one configuration, given its name in configs/ and then its variant, and print nothing."
    )
    flags.DEFINE_string("json", None, "File to write the results to.")
    logging.set_verbosity(logging.WARNING)
    command.run(main)
