"""Measures the cost of serving an export: python -m benchmarks.exports --configs=configs/a.flags,configs/b.flags

For each configuration, in its own setting (`--n_way`, `--k_shot`, `--n_query`): milliseconds of the signature `adapt`,
of `predict` for one query and for all of an episode; kilobytes of the export, and of what `adapt` returns; the number
of parameters; the largest number of classes in a support set. None of these depends on the values of the weights, so
nothing is trained.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags, logging
from absl.testing import flagsaver

from benchmarks.timing import seconds
from ml_lstm import methods, serving
from ml_lstm.command_line import command, devices, flag_files, records
from ml_lstm.data import SOURCES
from ml_lstm.episode import Problem
from ml_lstm.runs import settings

FLAGS = flags.FLAGS


def measure(
    method: methods.FewShotClassifier,
    image_shape: tuple[int, int, int],
    n_way: int,
    k_shot: int,
    n_query: int,
    repeats: int,
) -> dict[str, Any]:
    """Exports a method and times the calls of a server.

    Args:
        method: trained or not.
        image_shape: `(height, width, channels)`.
        n_way: classes of the support set.
        k_shot: its images of each class.
        n_query: images of each class in a request to `predict`.
        repeats: calls to time, after three that are not timed.

    Returns:
        Medians in seconds; bytes; number of parameters; largest number of classes, None for any number.
    """
    with tempfile.TemporaryDirectory() as directory:
        version = serving.export_version(method, image_shape, directory, "{}")
        export_bytes = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
        signatures = tf.saved_model.load(str(version)).signatures
    generator = np.random.default_rng(0)

    def pictures(count):
        return tf.constant(generator.integers(256, size=(count, *image_shape), dtype=np.uint8))

    labels = tf.constant([f"class {number}" for number in range(n_way) for _ in range(k_shot)])
    support, queries = pictures(n_way * k_shot), pictures(n_way * n_query)
    adaptation = signatures["adapt"](support_images=support, support_labels=labels)

    def median(call):
        return statistics.median(seconds(call, 3 + repeats)[3:])

    def predict(images):
        return signatures["predict"](**adaptation, query_images=images)["probabilities"].numpy()

    return {
        "adapt_seconds": median(
            lambda: signatures["adapt"](support_images=support, support_labels=labels)["classes"].numpy()
        ),
        "predict_one_seconds": median(lambda: predict(queries[:1])),
        "predict_all_seconds": median(lambda: predict(queries)),
        "export_bytes": export_bytes,
        "adaptation_bytes": sum(len(tf.io.serialize_tensor(value).numpy()) for value in adaptation.values()),
        "numbers": method.count_params(),
        "most_classes": method.most_classes,
    }


def measure_config(path: str, repeats: int) -> dict[str, Any]:
    """`measure` for a flag file, in its setting."""
    with flagsaver.flagsaver():
        argv = ["", f"--flagfile={path}"]
        FLAGS(flag_files.with_contents(argv))
        values = settings.from_flags(argv)
    shape = (values["image_size"], values["image_size"], SOURCES[values["dataset"]].channels)
    # Normalisation costs the same for all images; the number of classes is that of Omniglot's meta-train classes.
    problem = Problem(shape, max(values["n_way"], values["train_n_way"]), 4112, [0.9], [0.3])
    method = settings.build_method(values, problem)
    results = measure(method, shape, values["n_way"], values["k_shot"], values["n_query"], repeats)
    return {"method": values["method"], **({"cell": values["cell"]} if "cell" in values else {}), **results}


_ROW = "{:44} {:>8.2f} {:>8.2f} {:>8.2f} {:>9.0f} {:>10.1f} {:>9,} {:>8}"
_HEAD = "{:44} {:>8} {:>8} {:>8} {:>9} {:>10} {:>9} {:>8}".format(
    "", "adapt", "predict", "predict", "export", "adaptation", "numbers", "classes"
) + "\n{:44} {:>8} {:>8} {:>8} {:>9} {:>10}".format("configuration", "ms", "1, ms", "all, ms", "KB", "KB")


def main() -> None:
    """Measures each of `--configs`, prints a table and writes the same to `--json`."""
    devices.use_as_flagged()
    print(_HEAD)
    results = {}
    for path in FLAGS.configs:
        name = Path(path).stem
        result = results[name] = measure_config(path, FLAGS.repeats)
        milliseconds = [1e3 * result[f"{what}_seconds"] for what in ("adapt", "predict_one", "predict_all")]
        kilobytes = [result[f"{what}_bytes"] / 1e3 for what in ("export", "adaptation")]
        print(_ROW.format(name, *milliseconds, *kilobytes, result["numbers"], result["most_classes"] or "any"))
    if FLAGS.json:
        names = ("repeats", "intra_op_threads", "inter_op_threads")
        about = {"tensorflow": tf.__version__, "device": devices.describe(), "commit": records.commit()}
        about |= {name: FLAGS[name].value for name in names}
        records.write_json(Path(FLAGS.json), about | {"configurations": results})


if __name__ == "__main__":
    flags.DEFINE_list("configs", None, "Flag files, configs/*.flags.")
    flags.DEFINE_integer("repeats", 50, "Calls to time.", lower_bound=1)
    flags.DEFINE_string("json", None, "File to write the results to.")
    flags.mark_flag_as_required("configs")
    settings.define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
