"""Meta Networks on one problem, then another: python -m studies.continual_training --second=dataset=mnist --run_dir=RUN

Train's flags describe the first problem; --second gives the options that differ in the second. Each problem has its own
embedding and base learner; m and d are passed on. After each step on the second problem the first is tested again, with
the current m and d. A killed run resumes after its last saved step. --json writes the results of a finished run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
from absl import flags, logging

from ml_lstm.command_line import command, devices, records
from ml_lstm.data import FewShotData
from ml_lstm.errors import UserError
from ml_lstm.methods import MetaNetworks
from ml_lstm.paths import expanded
from ml_lstm.runs import CheckpointStore, settings
from ml_lstm.runs.lock import TrainingLock
from ml_lstm.training import StopOnNonFiniteLoss, meta_train

FLAGS = flags.FLAGS


class Part(NamedTuple):
    """A problem, and the method trained on it.

    Attributes:
        values: its choices and options.
        data: its own.
        method: compiled.
        store: of its checkpoints, one for each step.
    """

    values: settings.Values
    data: FewShotData
    method: MetaNetworks
    store: CheckpointStore


def define_flags() -> None:
    """Defines the flags, which include those of `train`."""
    settings.define_flags()
    flags.DEFINE_string("run_dir", None, "Directory of the run; created if needed, continued if it exists.")
    flags.DEFINE_string("json", None, "File for the results of the run, which must be finished.")
    flags.DEFINE_list("second", [], "Options that differ in the second problem, name=value.")
    flags.DEFINE_integer("second_episodes", 400, "Meta-training episodes on the second problem.", lower_bound=1)
    flags.DEFINE_integer("step", 400, "Episodes between tests; the run is saved equally often.", lower_bound=1)
    flags.DEFINE_integer("test_episodes", 400, "Episodes of each test.", lower_bound=1)
    flags.mark_flag_as_required("run_dir")


def main(values: settings.Values) -> None:
    """Trains the rest of the run; with --json, writes its results instead."""
    path = expanded(FLAGS.run_dir)
    results = path / "continual.json"
    if FLAGS.json:
        if not results.exists():
            raise UserError(f"{path} has no {results.name}: train first.")
        records.write_json(expanded(FLAGS.json), records.read_json(results))
        return
    images = values["n_way"] * (values["k_shot"] + values["n_query"])
    devices.use_as_flagged(1, devices.Work(values["image_size"], images))
    lock = TrainingLock(path / "train.lock")
    first = _part(values, path / "first")
    second = _part(_second_values(values), path / "second")
    found = _started(results, first, second)
    for done, _ in steps(first, values["episodes"], FLAGS.step):
        print(f"Episode {done} of the first problem.", flush=True)
    if "before" not in found:
        found["before"] = tested(first)
        records.write_json(results, found)
    if second.store.restore_newest() is None:
        second.method.take_meta_weights(first.method)
    for done, accuracy in steps(second, FLAGS.second_episodes, FLAGS.step):
        first.method.take_meta_weights(second.method)
        found["steps"][str(done)] = {"after": tested(first), "train_accuracy": accuracy}
        records.write_json(results, found)
        print(
            f"Episode {done} of the second problem: {100 * accuracy:.1f} % there, first problem "
            f"{100 * (found['steps'][str(done)]['after'] - found['before']):+.2f} points.",
            flush=True,
        )
    lock.release()


def _second_values(values):
    pairs = [each.partition("=") for each in FLAGS.second]
    try:
        return settings.complete(values | {name: value for name, _, value in pairs})
    except ValueError as error:
        raise UserError(f"--second: {error}") from None


def _part(values: settings.Values, directory: Path) -> Part:
    data = settings.load_data(values, test_episodes=FLAGS.test_episodes)
    method = settings.build_method(values, data.problem)
    if not isinstance(method, MetaNetworks):
        raise UserError("Only --method=meta_networks and its variants have m and d to pass on: give one of them.")
    method.compile(optimizer=settings.make_optimizer(method, values, values["episodes"]))
    method.optimizer.build(method.trainable_variables)
    return Part(values, data, method, CheckpointStore(directory, model=method, optimizer=method.optimizer))


def _started(results: Path, first: Part, second: Part) -> dict[str, Any]:
    """The results so far; raises an error for a run with other flags."""
    mine = {
        "flags": settings.bound(first.values) | {"episodes": first.values["episodes"]},
        "second": settings.bound(second.values),
        **{name: FLAGS[name].value for name in ("step", "test_episodes")},
    }
    if not results.exists():
        return mine | {"commit": records.commit(), "steps": {}}
    found = records.read_json(results)
    if any(found.get(name) != value for name, value in mine.items()):
        raise UserError(f"{results.parent} belongs to another configuration: give its flags, or another --run_dir.")
    return found


def steps(part: Part, episodes: int, step: int) -> Iterator[tuple[int, float]]:
    """Trains from the last checkpoint, and saves after each step, once the caller is done with it.

    Args:
        part: the part to train.
        episodes: total number of episodes.
        step: episodes of a step.

    Yields:
        Episodes done, and the mean accuracy of the step's meta-training.
    """
    done = part.store.restore_newest() or 0
    while done < episodes:
        done = min(done + step, episodes)
        history = keras.callbacks.History()
        meta_train(
            part.method,
            part.data,
            [StopOnNonFiniteLoss(), history],
            verbose=0,
            episodes=done,
            meta_batch_size=part.values["meta_batch_size"],
            validation_interval=step,
        )
        yield done, float(history.history["accuracy"][-1])
        part.store.save(done)


def tested(part: Part) -> float:
    """Mean accuracy over the test episodes of a problem."""
    return part.method.evaluate(part.data.test.batch(1, drop_remainder=True), verbose=0, return_dict=True)["accuracy"]


if __name__ == "__main__":
    define_flags()
    logging.set_verbosity(logging.WARNING)
    command.run(main, settings.from_flags, goes_on=True)
