"""Evaluates a trained run on new classes: python -m ml_lstm.evaluate --run_dir=RUN

With --model=NAME instead of --run_dir, it evaluates a model of the zoo.
"""

import time

import tensorflow as tf
import tqdm
from absl import flags, logging

from ml_lstm import evaluation, runs, zoo
from ml_lstm.command_line import command, devices, records
from ml_lstm.data import SOURCES, SPLITS
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded
from ml_lstm.runs import settings

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the flags of `evaluate`; the others come from the run."""
    flags.DEFINE_string("run_dir", None, "Directory of a trained run.")
    flags.DEFINE_string(
        "model", None, "A pretrained model of ml_lstm, see docs/zoo.md; or DIR/NAME, written by zoo.add."
    )
    flags.DEFINE_string(
        "json", None, "File to write the result to, instead of RUN/evaluate-*.json; required with --model."
    )
    command.require_one_of("run_dir", "model")
    flags.register_multi_flags_validator(
        ["model", "json"],
        lambda given: given["model"] is None or given["json"] is not None,
        "with --model, give --json=FILE to write the result to",
    )
    flags.DEFINE_integer("episodes", 600, "Number of episodes to evaluate on.", lower_bound=2)
    flags.DEFINE_enum(
        "split",
        "test",
        (*SPLITS, "all"),
        "The split whose classes are used; all: all classes of another --dataset, which then needs no splits.",
    )
    flags.DEFINE_enum("dataset", None, sorted(SOURCES), "Data set, if other than the run's.")
    for name, least in (("n_way", 2), ("k_shot", 1), ("n_query", 1)):
        flags.DEFINE_integer(name, None, "Value, if other than the run's.", lower_bound=least)
    flags.DEFINE_boolean("within_alphabets", None, "Value, if other than the run's.")
    flags.DEFINE_integer(
        "inner_steps", None, "Number of inner steps for a support set; if unset, as in training.", lower_bound=1
    )
    flags.DEFINE_boolean(
        "transductive_batch_norm",
        False,
        "Normalise the queries of an episode by their own statistics, as some papers do. "
        "An answer then depends on the other queries.",
    )
    flags.DEFINE_boolean(
        "by_instance",
        False,
        "With --method=mann: report the accuracy at the first, second, ... occurrence of a class in a sequence, also "
        "as a curve for TensorBoard.",
    )
    flags.DEFINE_integer(
        "new_base_filters",
        None,
        "With --method=meta_networks --base_learner=convolutions: number of filters of a new base learner with random "
        "weights that replaces the trained one (section 4.2.2 of the paper).",
        lower_bound=1,
    )
    settings.define_flags(only_free=True, but=("episodes", "validate_train_classes"))


class TooManyClasses(UserError):
    """More classes are requested than a run can distinguish.

    Attributes:
        most_classes: the maximum number of classes of the run.
    """

    def __init__(self, problem: str, most_classes: int):
        super().__init__(problem)
        self.most_classes = most_classes


def main() -> None:
    """Prints the accuracy and writes it to `RUN/evaluate-*.json`.

    Raises:
        TooManyClasses: if `--n_way` is more than the run can distinguish.
        UserError: if the run cannot be evaluated for another reason.
    """
    entry = None if FLAGS.model is None else zoo.find(FLAGS.model)
    run = entry.run if entry else runs.RunDirectory(FLAGS.run_dir)
    image_size = max(run.problem().image_shape[:2])
    devices.use_as_flagged(work=devices.Work(image_size, side_by_side=evaluation.EPISODES_AT_A_TIME))
    trained_flags = run.bound()
    setting = run.values(**settings.given())
    method, trained_episodes, train_seconds = _trained(run, entry)
    if method.most_classes is not None and setting["n_way"] > method.most_classes:
        raise TooManyClasses(
            f"--n_way={setting['n_way']} is more than the {method.most_classes} classes that {run.path} "
            "was trained for: lower it, or train with more classes (--train_n_way), or without a limit "
            "(--shared_head for gradient-based methods, --label_characters for mann).",
            method.most_classes,
        )
    if FLAGS.new_base_filters is not None:
        if getattr(method, "base_learner", None) != "convolutions":
            raise UserError(
                f"--new_base_filters is for --method=meta_networks with --base_learner=convolutions, and {run.path} "
                f"has another base learner, or {trained_flags['method']}: leave it out."
            )
        method = method.with_new_base_learner(FLAGS.new_base_filters)
    inner_steps = _other_inner_steps(method, trained_flags["method"])
    of_all = FLAGS.split == "all"
    if of_all and FLAGS.dataset is None:
        raise UserError("--split=all includes classes that the run was trained on: choose other data with --dataset.")
    data = settings.load_data(setting, test_episodes=FLAGS.episodes, all_classes=of_all)
    if FLAGS.dataset is None:
        run.require_classes(data.class_digest())
    channels = run.problem().image_shape[-1]
    if data.image_shape[-1] != channels:
        turned = "grey" if channels == 1 else "three equal channels"
        print(
            f"{run.path} was trained on images of {channels} channel(s): {setting['dataset']} is converted to {turned}."
        )
        data.require_channels(channels)
    episodes = data.evaluation_sampler(FLAGS.split).dataset(count=FLAGS.episodes)
    query_statistics = "queries" if FLAGS.transductive_batch_norm else "support"
    if FLAGS.by_instance and not method.reads_sequences:
        raise UserError(
            f"--by_instance is for --method=mann, and {run.path} has {trained_flags['method']}: leave it out."
        )
    start = time.monotonic()
    with _bar("Evaluating") as bar:
        accuracies = evaluation.episode_accuracies(method, episodes, query_statistics, done=bar.update)
    accuracy = evaluation.Accuracy.of(accuracies)
    by_instance = _by_instance(run, method, episodes) if FLAGS.by_instance else {}
    data_dir = setting.get("data_dir")
    path = _write(
        run,
        {
            "accuracy": accuracy.mean,
            "confidence_interval_95": accuracy.confidence_interval_95,
            "standard_deviation": accuracy.standard_deviation,
            "percentiles": accuracy.percentiles,
            "episodes": FLAGS.episodes,
            "evaluate_seconds": round(time.monotonic() - start, 1),
            "split": FLAGS.split,
            "data_dir": str(expanded(data_dir).resolve()) if data_dir else None,
            "classes": data.class_digest(),
            "transductive_batch_norm": FLAGS.transductive_batch_norm,
            **{name: setting[name] for name in ("dataset", "n_way", "k_shot", "n_query", "within_alphabets")},
            **{name: trained_flags[name] for name in ("method", "seed")},
            "flags": trained_flags,
            "commit": records.commit(),
            "train_episodes": trained_episodes,
            "train_seconds": round(train_seconds, 1),
            "device": devices.describe(),
            **({"model": entry.name} if entry else {}),
            **({} if FLAGS.new_base_filters is None else {"new_base_filters": FLAGS.new_base_filters}),
            **({"inner_steps": inner_steps} if inner_steps else {}),
            **by_instance,
        },
    )
    spread = accuracy.percentiles
    steps = f"{inner_steps} inner step(s), " if inner_steps else ""
    print(
        f"{setting['dataset']} {FLAGS.split}, {setting['n_way']}-way {setting['k_shot']}-shot, {steps}"
        f"{FLAGS.episodes} episodes{' within alphabets' if setting['within_alphabets'] else ''}: "
        f"accuracy {100 * accuracy.mean:.2f} % "
        f"± {100 * accuracy.confidence_interval_95:.2f} (95 % interval of the mean)\n"
        f"  single episodes: standard deviation {100 * accuracy.standard_deviation:.1f}, "
        f"5th percentile {100 * spread[5]:.1f} %, median {100 * spread[50]:.1f} %\n"
        f"  written to {path}"
    )


def _bar(title) -> tqdm.tqdm:
    """A progress bar of the episodes on a terminal, which disappears at the end."""
    return tqdm.tqdm(total=FLAGS.episodes, desc=title, unit=" episodes", disable=None, leave=False)


def _trained(run, entry):
    """`(method, number of training episodes, training time in seconds)`."""
    if entry:
        return entry.method(), entry.card["train_episodes"], entry.card["train_seconds"]
    method, episodes, progress = runs.trained_method(run)
    return method, episodes, progress.seconds


def _other_inner_steps(method, name) -> int | None:
    """Sets the method's number of inner steps to `--inner_steps`; returns it if it differs from the method's own."""
    steps, own = FLAGS.inner_steps, method.served_inner_steps
    if steps is None:
        return None
    if own is None:
        raise UserError(f"{name} has no inner steps: leave out --inner_steps.")
    method.served_inner_steps = steps
    return None if steps == own else steps


def _write(run, record):
    """Writes the result; returns its path."""
    if FLAGS.json is None:
        return run.add_evaluation(record)
    records.write_json(expanded(FLAGS.json), record)
    return expanded(FLAGS.json)


def _by_instance(run, method, episodes) -> dict[str, list[float]]:
    """Prints the accuracy at each instance, and writes it as a TensorBoard curve with instances as steps."""
    with _bar("By instance") as bar:
        accuracies = evaluation.instance_accuracies(method, episodes, done=bar.update)
    columns = [evaluation.Accuracy.of(column) for column in accuracies.T]
    with tf.summary.create_file_writer(str(run.path / "instances")).as_default():
        for number, accuracy in enumerate(columns, start=1):
            tf.summary.scalar("accuracy_at_instance", accuracy.mean, step=number)
    print("Accuracy at each instance of a class, %: " + ", ".join(f"{100 * accuracy.mean:.1f}" for accuracy in columns))
    return {
        "instance_accuracies": [accuracy.mean for accuracy in columns],
        "instance_confidence_intervals_95": [accuracy.confidence_interval_95 for accuracy in columns],
    }


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
