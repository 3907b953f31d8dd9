"""Meta-trains a few-shot classifier: python -m ml_lstm.train --flagfile=configs/quickstart.flags --run_dir=RUN

Most used are --method, --learner, --dataset, --data_dir, --n_way, --k_shot and --episodes. --helpfull and
docs/options.md list all options of methods, learners, data and training.
"""

import shlex
import signal
import sys

import keras
import tensorflow as tf
from absl import flags, logging

from ml_lstm import evaluation, methods, options, training
from ml_lstm.command_line import command, devices
from ml_lstm.distribution import distribution, require_shareable
from ml_lstm.errors import UserError
from ml_lstm.runs import RunDirectory, settings, take_initial_weights

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the flags of `train`: all options, and the run directory."""
    settings.define_flags()
    flags.DEFINE_string("run_dir", None, "Directory of this run. An existing run is resumed.")
    flags.register_validator("run_dir", bool, "give the directory of the run")


def main(values: settings.Values) -> None:
    """Starts or resumes the run that the flags describe."""
    most = 1 if values["strategy"] == "none" else None
    names = devices.use_as_flagged(most, _work(values))
    shared = distribution(names, strategy=values["strategy"])
    kind = methods.METHODS[values["method"]]
    require_shareable(shared, values["method"], kind, values.get("meta_batch_size", 1))
    shared.start()
    with shared.attended():
        _train(shared, RunDirectory(FLAGS.run_dir), values)


def _work(values) -> devices.Work:
    """The workload: an inner step processes a support set, other methods process a whole episode at once."""
    n_way, k_shot, n_query = (values.get(f"train_{name}") or values[name] for name in ("n_way", "k_shot", "n_query"))
    images = n_way * (k_shot if "inner_steps" in values else k_shot + n_query)
    return devices.Work(values["image_size"], images, values.get("meta_batch_size", 1))


def _train(shared, run, values) -> None:
    bound = settings.bound(values)
    known = shared.is_chief and run.exists(bound)
    lock = run.lock() if known else None  # until the process ends, or is killed
    if not known:
        settings.require_averages(values)
        settings.require_pretrained(values)  # data may take long to load
    data = settings.load_data(values)
    # Before anything is written, checks that the data are sufficient and that the options are compatible.
    data.sampler("val")
    if values.get("validate_train_classes"):
        data.evaluation_sampler("train")
    with shared.scope():
        problem = run.problem() if known else data.problem
        network = run.network() if known else None
        if not known and settings.keeps_network(values):
            keras.utils.set_random_seed(values["seed"])
            network = settings.build_network(values, problem)
        method = settings.build_method(values, problem, network)
        steps = training.steps_of(values.get("episodes", 0), values.get("meta_batch_size", 1))
        method.compile(optimizer=settings.make_optimizer(method, values, steps))
        method.optimizer.build(method.trainable_variables)
        from_other = shared.is_chief and values.get("initial_weights") is not None and not (known and run.has_backup())
        if from_other:
            print(take_initial_weights(method, values))
        averages = settings.make_averages(method, values)
    if method.trains:
        method.training_sampler(data)
    if shared.is_chief and not known:
        lock = run.lock()
        if not run.exists(bound):  # another process may have created it meanwhile
            run.create(bound, data.problem, data.class_digest(), network)
    more = {name: values.get(name) for name in ("episodes", "early_stopping", "validate_train_classes")}
    shared.require_same("their flags or their data", [bound, more, data.class_digest()])
    if not all(shared.workers(run.exists(bound))):
        raise UserError(
            f"{run.path} is not visible to every worker: --run_dir must be on storage that all workers share."
        )
    run.require_classes(data.class_digest())
    progress = training.Progress()
    also = {"averages": averages.state} if averages else {}
    backup = run.backup(model=method, optimizer=method.optimizer, progress=progress, **also)
    if from_other:
        backup.save(0)  # the other run is not needed again, even if it is deleted
    saved = backup.restore_newest() if shared.is_chief else None
    saved = int(shared.workers(-1 if saved is None else saved)[0])
    if saved > 0 and shared.is_chief:
        print(f"Resuming from episode {saved} of {values['episodes']}.")
    elif saved >= 0 and not shared.is_chief:
        backup.restore(saved)
    if not _done(method, values, progress):
        _fit(shared, run, values, method, data, progress, backup, averages)
    if lock:
        lock.release()
    if shared.is_chief:
        _say_what_next(run, values, progress)
        if method.trains and progress.validations:
            _say_if_in_vain(progress, data)


def _done(method, values, progress) -> bool:
    """Whether training is complete, independent of the number of episodes requested."""
    if not method.trains:
        return bool(progress.validations)
    return 0 < values["early_stopping"] <= progress.validations_since_best


def _fit(shared, run, values, method, data, progress, backup, averages) -> None:
    meta_batch_size = values.get("meta_batch_size", 1)
    stop_signals = []
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored under `nohup`
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, lambda received, _: stop_signals.append(received))
    shared.prepare(method, stop_requested=lambda: bool(stop_signals))
    callbacks = [
        training.StopOnNonFiniteLoss(),
        training.EpisodesPerSecond(meta_batch_size),
        *(_boards(run, data, meta_batch_size) if shared.is_chief else ()),
        training.SaveProgress(
            backup,
            run.best(model=method, progress=progress),
            progress,
            meta_batch_size,
            shared.should_stop,
            shared,
            averages,
            **options.pick(training.SaveProgress, values),
        ),
        *(_words(values, progress) if method.trains and shared.is_chief else ()),
    ]
    try:
        training.meta_train(
            method,
            data,
            callbacks,
            (1 if sys.stdout.isatty() else 2) if shared.is_chief else 0,
            shared,
            averages,
            **options.pick(training.meta_train, values),
        )
    except training.Interrupted:
        shared.workers(0)  # no worker exits before the chief has saved
        if shared.is_chief:
            episodes = int(tf.convert_to_tensor(method.optimizer.iterations)) * meta_batch_size
            print(f"\nStopped at episode {episodes} and saved. Run the same command again to resume.")
        sys.exit(shared.status_when_stopped)
    shared.workers(0)


def _boards(run, data, meta_batch_size) -> list[keras.callbacks.Callback]:
    return [
        training.ScalarBoard(run.path, meta_batch_size, run.bound()),
        training.EpisodeBoard(run.path / "episodes", meta_batch_size, data.sampler("val").sample(0)),
    ]


def _words(values, progress) -> list[keras.callbacks.Callback]:
    # Keras's progress bar comes first, so that the line of `Outlook` does not break it.
    return [
        keras.callbacks.ProgbarLogger(),
        training.Outlook(progress, values["episodes"], values["meta_batch_size"]),
    ]


def _say_what_next(run, values, progress) -> None:
    run_dir, data_dir = shlex.quote(str(run.path)), values.get("data_dir")
    of_data = f" --data_dir={shlex.quote(data_dir)}" if data_dir else ""
    export_dir = shlex.quote(f"models/{run.path.resolve().name or 'model'}")
    if not progress.validations:  # stopped before the first validation, and no further episodes were requested
        print("Nothing left to do: raise --episodes to continue.")
        return
    best = max(progress.validations, key=lambda validation: validation[1])
    print(
        f"Meta-trained for {progress.validations[-1][0]} episodes in {progress.seconds:.0f} s; best meta-validation "
        f"accuracy {100 * best[1]:.1f} % at episode {best[0]}.\n"
        f"Next:\n"
        f"  python -m ml_lstm.evaluate --run_dir={run_dir}{of_data}\n"
        f"  tensorboard --logdir={run_dir}\n"
        f"  python -m ml_lstm.export --run_dir={run_dir} --export_dir={export_dir}"
    )


def _say_if_in_vain(progress, data) -> None:
    """Prints a note if nearest neighbours by pixels are at least as accurate in meta-validation."""
    best, pixels = max(accuracy for _, accuracy in progress.validations), evaluation.pixel_accuracy(data)
    if best <= pixels:
        print(
            f"The nearest support image by pixels, without training, has an accuracy of {100 * pixels:.1f} % in the "
            "same meta-validation: train longer, or choose another method (docs/choosing.md#few-classes)."
        )


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main, settings.from_flags, goes_on=True)
