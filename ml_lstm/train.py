"""Meta-trains a few-shot classifier: python -m ml_lstm.train --flagfile=configs/quickstart.flags --run_dir=RUN"""

import signal
import sys

import keras
import tensorflow as tf
from absl import logging

from ml_lstm import flags, methods, runs, training
from ml_lstm.command_line import command, devices
from ml_lstm.distribution import distribution, require_shareable
from ml_lstm.errors import UserError

FLAGS = flags.FLAGS


def main() -> None:
    """Starts the run that the flags describe, or goes on with it."""
    names = devices.use(**flags.device_settings(), most=1 if FLAGS.strategy == "none" else None)
    values = flags.run_flags()
    shared = distribution(FLAGS.strategy, names)
    kind = methods.METHODS[values["method"]]
    require_shareable(shared, values["method"], kind, FLAGS.meta_batch_size)
    shared.start()
    with shared.attended():
        _train(shared, runs.RunDirectory(FLAGS.run_dir), values, kind.trains_on)


def _train(shared, run, values, trains_on) -> None:
    known = shared.is_chief and run.exists(values)
    data = runs.load_data(
        values,
        **flags.locations(),
        seed=values["seed"],
        validation_episodes=values["validation_episodes"],
        batch_size=values["batch_size"],
    )
    # Refuses a setting that the data cannot fill, before anything is written.
    data.sampler("val")
    if trains_on:
        data.training_sampler(trains_on)
    if shared.is_chief and not known:
        images = {"image_shape": data.image_shape, "train_classes": data.train_classes}
        run.create(values, images | data.image_statistics(), data.class_digest())
    more = {name: FLAGS[name].value for name in ("episodes", "early_stopping")}
    shared.require_same("their flags or their data", [values, more, data.class_digest()])
    if not all(shared.workers(run.exists(values))):
        raise UserError(
            f"{run.path} is not there for every worker: --run_dir must be on storage that all workers share."
        )
    run.require_classes(data.class_digest())
    with shared.scope():
        method = runs.build_method(values, run.images())
        method.compile(optimizer=method.make_optimizer(_learning_rate(values), values["clip_norm"]))
        method.optimizer.build(method.trainable_variables)
    progress = training.Progress()
    backup = run.backup(model=method, optimizer=method.optimizer, progress=progress)
    resumed = backup.restore_newest() if shared.is_chief else 0
    resumed = int(shared.workers(resumed or 0)[0])
    if resumed and shared.is_chief:
        print(f"Going on from episode {resumed} of {FLAGS.episodes}.")
    elif resumed:
        backup.restore(resumed)
    if not _done(method, progress):
        _fit(shared, run, method, data, progress, backup)
    if shared.is_chief:
        _say_what_next(run, progress)


def _learning_rate(values) -> float | keras.optimizers.schedules.LearningRateSchedule:
    rate = values["learning_rate"]
    if values["learning_rate_schedule"] == "constant":
        return rate
    steps = training.steps_of(values["episodes"], values["meta_batch_size"])
    return keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.01)


def _done(method, progress) -> bool:
    """Whether nothing is left to do, however many episodes are asked for."""
    if method.trains_on is None:
        return bool(progress.validations)
    return 0 < FLAGS.early_stopping <= progress.validations_since_best


def _fit(shared, run, method, data, progress, backup) -> None:
    stop_signals = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stop_signals.append(received))
    shared.prepare(method, stop_requested=lambda: bool(stop_signals))
    callbacks = [
        training.StopOnNonFiniteLoss(),
        training.EpisodesPerSecond(FLAGS.meta_batch_size),
        *(_boards(run, data) if shared.is_chief else ()),
        training.SaveProgress(
            backup,
            run.best(model=method, progress=progress),
            progress,
            FLAGS.meta_batch_size,
            FLAGS.early_stopping,
            stop_requested=shared.should_stop,
            shared=shared,
        ),
    ]
    try:
        training.meta_train(
            method,
            data,
            episodes=FLAGS.episodes,
            meta_batch_size=FLAGS.meta_batch_size,
            validation_interval=FLAGS.validation_interval,
            callbacks=callbacks,
            verbose=(1 if sys.stdout.isatty() else 2) if shared.is_chief else 0,
            shared=shared,
        )
    except training.Interrupted:
        shared.workers(0)  # none goes before the chief has saved
        if shared.is_chief:
            episodes = int(tf.convert_to_tensor(method.optimizer.iterations)) * FLAGS.meta_batch_size
            print(f"\nStopped at episode {episodes} and saved; the same command goes on from there.")
        sys.exit(shared.status_when_stopped)
    shared.workers(0)


def _boards(run, data) -> list[keras.callbacks.Callback]:
    return [
        keras.callbacks.TensorBoard(str(run.path), write_graph=False),
        training.EpisodeBoard(run.path / "episodes", data.sampler("val").sample(0), run.flags()),
    ]


def _say_what_next(run, progress) -> None:
    data_dir = f" --data_dir={FLAGS.data_dir}" if FLAGS.data_dir else ""
    if not progress.validations:  # stopped before the first one, and not asked to go beyond
        print("Nothing left to do: raise --episodes to go on.")
        return
    best = max(progress.validations, key=lambda validation: validation[1])
    print(
        f"Meta-trained for {progress.validations[-1][0]} episodes in {progress.seconds:.0f} s; best meta-validation "
        f"accuracy {100 * best[1]:.1f} % at episode {best[0]}.\n"
        f"Next:\n"
        f"  python -m ml_lstm.evaluate --run_dir={run.path}{data_dir}\n"
        f"  tensorboard --logdir {run.path}\n"
        f"  python -m ml_lstm.export --run_dir={run.path} --export_dir=models/{run.path.name}"
    )


if __name__ == "__main__":
    flags.define_data_flags()
    flags.define_method_flags()
    flags.define_training_flags()
    flags.define_device_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main)
