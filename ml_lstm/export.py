"""Exports a trained run as a SavedModel: python -m ml_lstm.export --run_dir=RUN --export_dir=MODELS/NAME"""

import json

from absl import flags, logging

from ml_lstm import command, runs, serving

FLAGS = flags.FLAGS


def define_flags() -> None:
    """What `export` takes."""
    flags.DEFINE_string("run_dir", None, "Directory of a trained run.")
    flags.DEFINE_string("export_dir", None, "Directory of the model; a new version is written to EXPORT_DIR/<n>/.")
    flags.mark_flags_as_required(["run_dir", "export_dir"])


def main() -> None:
    """Writes the next version and says what it takes."""
    run = runs.RunDirectory(FLAGS.run_dir)
    method, episodes, _ = runs.trained_method(run)
    height, width, channels = run.images()["image_shape"]
    card = {
        "method": run.flags()["method"],
        "train_episodes": episodes,
        "most_classes": method.n_way,
        "image_shape": [height, width, channels],
        "flags": run.flags(),
        "commit": runs.commit(),
        "evaluations": run.evaluations(),
    }
    version = serving.export_version(
        method, (height, width, channels), FLAGS.export_dir, json.dumps(card, indent=2, sort_keys=True)
    )
    print(
        f"Exported to {version}: up to {method.n_way} classes, images of any size with {channels} channel(s), "
        f"resized to {height}x{width}.\n"
        f"Next:\n"
        f"  saved_model_cli show --dir {version} --all"
    )


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
