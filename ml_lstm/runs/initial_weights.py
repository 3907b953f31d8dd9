"""Initial weights from another run: which runs are accepted, and the line printed about it."""

from ml_lstm import options
from ml_lstm.errors import UserError
from ml_lstm.methods import FewShotClassifier
from ml_lstm.runs import settings
from ml_lstm.runs.directory import RunDirectory, trained_method
from ml_lstm.training import take_network


def take_initial_weights(method: FewShotClassifier, values: settings.Values) -> str:
    """Gives a method the network of the run that `--initial_weights` names, see `training.take_network`.

    Args:
        method: untrained.
        values: the options that it was built with.

    Returns:
        A line that says what was loaded, and what was not.

    Raises:
        UserError: if there is no such run, it is not trained, or its network differs; the message says in what.
    """
    run = RunDirectory(values["initial_weights"])
    if not (run.path / "flags.json").is_file():
        raise UserError(
            f"--initial_weights={run.path} is not a run directory (no flags.json): give one that train created."
        )
    mine, theirs = settings.bound(values), run.bound()
    if "learner" not in theirs:
        raise UserError(f"--initial_weights={run.path}: {theirs['method']} has no --learner: give a run that has one.")
    differing = _differences(theirs, mine, values["learner"])
    if theirs["learner"] != mine["learner"]:
        raise _other_network(run, differing)
    source, episodes, _ = trained_method(run)
    try:
        left = take_network(method, lambda _: source, **options.pick(take_network, values))
    except ValueError as error:
        raise _other_network(run, [*differing, str(error)]) from None
    though = f" ({'; '.join(differing)})" if differing else ""
    but = f"; at their initial values: {', '.join(left)}" if left else ""
    return f"Initial weights: the network of {run.path}, by {theirs['method']}, at episode {episodes}{though}{but}."


def _other_network(run, differing):
    return UserError(
        f"--initial_weights={run.path} has another network ({'; '.join(differing)}): give the flags that its network "
        "had, or another run."
    )


def _differences(theirs, mine, learner):
    """The options of the network and of its input in which two runs differ, in words."""
    names = ["learner", *options.of(settings.component("learner", learner)), "dataset", "image_size"]
    return [
        f"--{name} was {theirs.get(name)!r}, is {mine.get(name)!r}"
        for name in names
        if theirs.get(name) != mine.get(name)
    ]
