"""The configuration of a run: the components chosen by name, and their options."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
from absl import flags

from ml_lstm import data, options
from ml_lstm.cells import CELLS
from ml_lstm.command_line import devices, flag_files
from ml_lstm.data import SOURCES, FewShotData
from ml_lstm.distribution import distribution
from ml_lstm.episode import Problem
from ml_lstm.errors import UserError
from ml_lstm.learners import (
    KINDS,
    LEARNERS,
    as_recorded,
    embedding,
    ends_in_class_head,
    find_learner,
    is_kept,
    natural_image_size,
)
from ml_lstm.methods import METHODS, FewShotClassifier
from ml_lstm.training import AverageWeights, SaveProgress, meta_train, take_network

Values = dict[str, Any]
"""The names of the chosen components, and the values of their options, by name."""


class Choice(NamedTuple):
    """A component that is chosen by name.

    Attributes:
        registry: the components, by name.
        default: a name.
        help: a sentence.
        find: for names outside the registry: returns the component of a name, or raises a `ValueError` for an unknown
            one.
        kinds: forms of such names, each with a component that has the same options.
    """

    registry: Mapping[str, Any]
    default: str
    help: str
    find: Callable[[str], Callable] | None = None
    kinds: Mapping[str, Callable] = {}

    @property
    def words(self) -> str:
        """The possible names."""
        return ", ".join([*sorted(self.registry), *self.kinds, *(["package.module:function"] if self.find else [])])


CHOICES = {
    "dataset": Choice(SOURCES, "glyphs", "Source of classes and images."),
    "method": Choice(METHODS, "meta_lstm", "Few-shot classifier to train."),
    "cell": Choice(CELLS, "meta_lstm", "Update rule."),
    "learner": Choice(LEARNERS, "conv4", "Network that is adapted, or computes features.", find_learner, KINDS),
}


def component(choice: str, name: str) -> Callable:
    """The component with a name, in the form that has the options."""
    registry, find = CHOICES[choice].registry, CHOICES[choice].find
    found = registry[name] if name in registry or not find else find(name)
    return found.load if choice == "dataset" else found


def concerned(method: str) -> list[str]:
    """The names in `CHOICES` that apply to a method: a cell and a learner only if the method has one."""
    made_of = options.parts(METHODS[method])
    return [name for name in CHOICES if name in ("dataset", "method") or name in made_of]


def takers_of(chosen: Mapping[str, str]) -> list[tuple[str, Callable]]:
    """Everything that has options for these choices, see `options.Takers`."""
    method = METHODS[chosen["method"]]
    takers = [(f"--{name}={chosen[name]}", component(name, chosen[name])) for name in concerned(chosen["method"])]
    takers += [("data", FewShotData), ("data", data.load), ("training", distribution), ("devices", devices.use)]
    if options.target(method).trains:
        optimizer = options.target(method).make_optimizer
        takers += [(f"--method={chosen['method']}", optimizer)]
        takers += [("training", taker) for taker in (meta_train, SaveProgress, AverageWeights)]
        if "learner" in concerned(chosen["method"]):
            takers += [("training", take_network)]
    return takers


def all_takers(learner: str | None = None) -> list[tuple[str, Callable]]:
    """Everything that has options, for all choices.

    Args:
        learner: one outside `LEARNERS`, which may have its own options too; an unknown name is ignored.
    """
    takers = [
        (f"--{choice}={name}", component(choice, name)) for choice in CHOICES for name in CHOICES[choice].registry
    ]
    takers += [(f"--{choice}={name}", kind) for choice in CHOICES for name, kind in CHOICES[choice].kinds.items()]
    if _is_own_function(learner):
        takers.append((f"--learner={learner}", component("learner", learner)))
    first = {choice: CHOICES[choice].default for choice in CHOICES}
    shared = [taker for method in METHODS for taker in takers_of(first | {"method": method})]
    return list(dict.fromkeys([*takers, *shared]))


def _is_own_function(learner):
    try:
        return isinstance(learner, str) and ":" in learner and bool(options.of(component("learner", learner)))
    except ValueError:
        return False


def options_of(chosen: Mapping[str, str]) -> dict[str, options.Option]:
    """The options for these choices, by name."""
    unused = getattr(options.target(METHODS[chosen["method"]]), "unused_options", ())
    found = options.collected(takers_of(chosen))
    return {name: next(iter(of_takers.values())) for name, of_takers in found.items() if name not in unused}


def define_flags(only_free: bool = False, but: Sequence[str] = ()) -> None:
    """Defines a flag for each choice and each option.

    Args:
        only_free: whether to omit the choices, and the options that a run is bound to.
        but: further options to omit.
    """
    if not only_free:
        for name, choice in CHOICES.items():
            if choice.find:
                words = f"<{choice.words}>: {choice.help}"
                flags.DEFINE_string(name, choice.default, words, module_name=__name__)
            else:
                flags.DEFINE_enum(name, choice.default, sorted(choice.registry), choice.help, module_name=__name__)
    learner = None if only_free else typed_learner(sys.argv)
    options.define(all_takers(learner), lambda option: (option.free or not only_free) and option.name not in but)


def typed_learner(argv):
    """The learner on the command line, read before the flags of its own options are defined."""
    only = flags.FlagValues()
    flags.DEFINE_string("learner", None, "", flag_values=only)
    try:
        only(flag_files.with_contents(argv), known_only=True)
    except flags.Error:  # reported when all flags are parsed
        return None
    return only.learner


def given(flag_values: flags.FlagValues = flags.FLAGS) -> Values:
    """The choices and options that were given a value, by a flag or in a flag file."""
    learner = flag_values["learner"].value if "learner" in flag_values else None
    names = [name for name in (*CHOICES, *options.collected(all_takers(learner))) if name in flag_values]
    return {name: flag_values[name].value for name in names if flag_values[name].present}


def from_flags(argv: Sequence[str], flag_values: flags.FlagValues = flags.FLAGS) -> Values:
    """The configuration that the flags describe, including defaults.

    On the command line, an option that none of the chosen components has is an error. In a flag file it is ignored,
    and a line is printed, so that several runs can share a file.

    Args:
        argv: as typed, with flag files by name.
        flag_values: parsed.

    Raises:
        flags.Error: for such an option, or a value that an option cannot have.
    """
    found = given(flag_values)
    chosen = {name: found.get(name, CHOICES[name].default) for name in CHOICES}
    for name in concerned(chosen["method"]):
        try:
            _require_known(name, chosen[name])
        except ValueError as error:
            raise flags.IllegalFlagValueError(f"flag --{name}={chosen[name]}: {error}") from None
    there = {*concerned(chosen["method"]), *options_of(chosen)}
    strays = [name for name in found if name not in there]
    typed = [name for name in strays if any(re.match(rf"--?(no)?{name}(=|$)", word) for word in argv[1:])]
    for name in typed:
        raise flags.IllegalFlagValueError(f"--{name} {_who_takes(name, chosen)}: leave it out.")
    if strays:
        listed = ", ".join(f"--{name}" for name in strays)
        print(f"Ignored, as nothing that was chosen takes them: {listed}.")
    try:
        return complete({name: value for name, value in found.items() if name in there})
    except ValueError as error:
        raise flags.IllegalFlagValueError(str(error)) from None


def _who_takes(name, chosen):
    if name in CHOICES:
        takers = [f"--method={method}" for method in METHODS if name in concerned(method)]
    else:
        takers = list(options.collected(all_takers(chosen["learner"])).get(name, ()))
        others = [f"--method={method}" for method in METHODS if name in options_of(chosen | {"method": method})]
        takers = [taker for taker in takers if taker.startswith("--")] or others
    kinds = {taker.partition("=")[0].removeprefix("--") for taker in takers}
    mine = ", ".join(f"--{kind}={chosen[kind]}" for kind in CHOICES if kind in kinds)
    return f"is not for {mine}; it is for {options.listed(takers)}"


def complete(found: Mapping[str, Any]) -> Values:
    """The choices and options that apply, including defaults.

    Args:
        found: some of them; it adds missing ones, and drops those that do not apply.

    Raises:
        ValueError: for an unknown name, or a value that an option cannot have.
    """
    chosen = {name: found.get(name, CHOICES[name].default) for name in CHOICES}
    for name in ("dataset", "method"):
        _require_known(name, chosen[name])
    for name in concerned(chosen["method"]):
        _require_known(name, chosen[name])
    values = {name: chosen[name] for name in concerned(chosen["method"])}
    if "learner" in values and "image_size" not in found:
        natural = natural_image_size(values["learner"])
        found = dict(found) | ({"image_size": natural} if natural else {})
    for name, option in options_of(chosen).items():
        values[name] = option.parse(found[name]) if name in found else option.default
    for _, taker in takers_of(chosen):
        options.check(options.target(taker), options.pick(taker, values))
    return values


def _require_known(choice, name):
    registry, find = CHOICES[choice].registry, CHOICES[choice].find
    if find and isinstance(name, str):
        find(name)
    elif not isinstance(name, str) or name not in registry:
        raise ValueError(f"{choice} must be one of {', '.join(sorted(registry))}, got {name!r}.")


def unknown(found: Mapping[str, Any]) -> list[str]:
    """Names that are not options of any component: those of another version."""
    known = {*CHOICES, *options.collected(all_takers(found.get("learner")))}
    return sorted(name for name in found if name not in known)


def bound(values: Values) -> Values:
    """The values that a run is bound to, as JSON values; a file counts by its content, wherever it is."""
    free = {name for name, option in options_of(values).items() if option.free}
    if values.get("learning_rate_schedule", "constant") != "constant":
        free.discard("episodes")  # the schedule's length
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in as_recorded(values).items()
        if name not in free
    }


def load_data(values: Values, test_episodes: int = 600, all_classes: bool = False) -> FewShotData:
    """The data that a run's choices and options describe; see `ml_lstm.data.load`.

    Raises:
        DataError: see `ml_lstm.data.load`.
    """
    names = options.names_of([component("dataset", values["dataset"]), FewShotData, data.load])
    chosen = {name: values[name] for name in names if name in values}
    return data.load(values["dataset"], test_episodes, all_classes, **chosen)


def keeps_network(values: Values) -> bool:
    """Whether a run stores the network that it starts from, because it comes from a file or a download."""
    return "learner" in values and is_kept(values["learner"])


def build_network(values: Values, problem: Problem) -> keras.Model | None:
    """The untrained network that a run's choices and options describe, with its head; None for a method without one.

    Args:
        values: see `complete`.
        problem: of its data.

    Raises:
        UserError: for a network that cannot be built.
    """
    if "learner" not in values:
        return None
    learner = component("learner", values["learner"])
    try:
        return learner(problem.image_shape, problem.n_way, **options.pick(learner, values))
    except ValueError as error:
        raise UserError(str(error)) from error


def require_pretrained(values: Values) -> None:
    """Checks that the weights of a pretrained network are available.

    Args:
        values: see `complete`.

    Raises:
        UserError: if they are not; the message says where they were looked for.
    """
    if values.get("pretrained", "none") != "none":
        side = values["image_size"]
        build_network(values, Problem((side, side, 3), values["n_way"]))


def require_averages(values: Values) -> None:
    """Checks that batch norm has averages from somewhere if `frozen_batch_norm` is set.

    Args:
        values: see `complete`.

    Raises:
        UserError: if it has none; the message says which option to give.
    """
    if values.get("frozen_batch_norm") and values.get("initial_weights") is None and not keeps_network(values):
        raise UserError(
            "--frozen_batch_norm keeps the averages that a network starts with, but this network starts from random "
            "weights: give --initial_weights=RUN, or leave --frozen_batch_norm out."
        )


def build_lean_method(values: Values, problem: Problem) -> FewShotClassifier:
    """The method that a run's choices and options describe, with only the parts that answers need, for trained weights.

    It has no head for the classes of training. It computes in float32 even if it was trained in bfloat16, which is slow
    on processors without bfloat16 instructions. It does not set random seeds.

    Args:
        values: see `complete`.
        problem: of its data.

    Raises:
        UserError: for options that exclude each other.
    """
    plain = {"mixed_precision": False} if "mixed_precision" in values else {}
    values, problem = values | plain, problem._replace(train_classes=None)
    return _assembled(values, problem, build_network(values, problem))


def build_method(values: Values, problem: Problem, network: keras.Model | None = None) -> FewShotClassifier:
    """The untrained method that a run's choices and options describe; its weights come from `seed`.

    Args:
        values: see `complete`.
        problem: of its data.
        network: used instead of the result of `build_network`.

    Raises:
        UserError: for options that exclude each other.
    """
    keras.utils.set_random_seed(values["seed"])
    network = network or build_network(values, problem)
    if keeps_network(values):
        # The other weights must not depend on whether the network was built or read from its file.
        keras.utils.set_random_seed(values["seed"])
    return _assembled(values, problem, network)


def _assembled(values, problem, network):
    method = METHODS[values["method"]]
    made_of = {"problem": problem}
    try:
        if network:
            made_of["learner"] = _body_of(options.target(method), network, problem.n_way)
        if "cell" in values:
            made_of["cell"] = CELLS[values["cell"]](**options.pick(CELLS[values["cell"]], values))
        return method(**made_of, **options.pick(method, values))
    except ValueError as error:
        raise UserError(str(error)) from error


def _body_of(method, network, n_way):
    # A user's own network may output features, without a head to remove.
    if method.body_of is embedding and not ends_in_class_head(network, n_way):
        return network
    return method.body_of(network)


def make_optimizer(method: FewShotClassifier, values: Values, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer that the method is compiled with, for this number of meta-steps."""
    return method.make_optimizer(steps, **options.pick(type(method).make_optimizer, values))


def make_averages(method: FewShotClassifier, values: Values) -> AverageWeights | None:
    """The averages of its weights that a run keeps, before training; None if it keeps none."""
    return AverageWeights(method, **options.pick(AverageWeights, values)) if values.get("average_weights") else None
