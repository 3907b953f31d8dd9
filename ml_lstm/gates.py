"""Records the gates of a run's update rule: python -m ml_lstm.gates --run_dir=RUN [--json=FILE --png=FILE]

In new episodes, it records the gates of one random parameter of each layer over the updates, as in figure 2 of Ravi &
Larochelle (ICLR 2017).
"""

import numpy as np
from absl import flags, logging

from ml_lstm import evaluation, runs
from ml_lstm.command_line import command, devices, records
from ml_lstm.data import SPLITS
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded
from ml_lstm.plots.figures import require_matplotlib, saved_figure
from ml_lstm.plots.gates import draw_gates
from ml_lstm.runs import settings
from ml_lstm.whole_files import whole

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the flags of `gates`; the others come from the run."""
    flags.DEFINE_string("run_dir", None, "Directory of a trained run.")
    flags.register_validator("run_dir", bool, "give the directory of the run")
    flags.DEFINE_string("json", None, "File to write the gates' values to.")
    flags.DEFINE_string("png", None, "File to plot the gates to; needs matplotlib.")
    flags.register_multi_flags_validator(
        ["json", "png"], lambda given: any(given.values()), "give --json=FILE, --png=FILE, or both"
    )
    flags.DEFINE_integer("episodes", 5, "Number of episodes to adapt to.", lower_bound=1)
    flags.DEFINE_enum("split", "test", SPLITS, "The split whose classes are used.")
    flags.DEFINE_integer("parameters_seed", 0, "Seed for the choice of one parameter of each layer.", lower_bound=0)
    settings.define_flags(only_free=True, but=("episodes",))


def main() -> None:
    """Prints the mean gates of each layer, and writes all values.

    Raises:
        UserError: for example, if the run's method has no gates.
    """
    if FLAGS.png is not None:
        require_matplotlib()
    run = runs.RunDirectory(FLAGS.run_dir)
    devices.use_as_flagged(work=devices.Work(max(run.problem().image_shape[:2])))
    setting = run.values(**settings.given())
    method, trained_episodes, _ = runs.trained_method(run)
    data = settings.load_data(setting, test_episodes=FLAGS.episodes)
    run.require_classes(data.class_digest())
    try:
        found = evaluation.gate_values(
            method, data.sampler(FLAGS.split).dataset(count=FLAGS.episodes), FLAGS.parameters_seed
        )
    except UserError as error:
        raise UserError(f"{run.path}: {error}") from None
    record = found._asdict() | {
        "input_gates": np.round(found.input_gates.astype(float), 7).tolist(),
        "forget_gates": np.round(found.forget_gates.astype(float), 7).tolist(),
        "parameters_seed": FLAGS.parameters_seed,
        "episodes": FLAGS.episodes,
        "split": FLAGS.split,
        **{name: setting[name] for name in ("dataset", "n_way", "k_shot")},
        "flags": run.bound(),
        "commit": records.commit(),
        "train_episodes": trained_episodes,
    }
    for layer, forget, take in zip(found.layers, *_means(found), strict=True):
        print(f"{layer}: forget gate {forget:.4f}, input gate {take:.4f}")
    if FLAGS.json is not None:
        records.write_json(expanded(FLAGS.json), record)
        print(f"  written to {FLAGS.json}")
    if FLAGS.png is not None:
        with whole(expanded(FLAGS.png)) as file, saved_figure(file, (2, len(found.layers))) as axes:
            draw_gates(axes.reshape(2, -1), found.layers, found.forget_gates, found.input_gates)
        print(f"  drawn to {FLAGS.png}")


def _means(found):
    return found.forget_gates.mean(axis=(0, 1)), found.input_gates.mean(axis=(0, 1))


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
