"""What can be chosen of a component: the annotated keyword-only arguments of its constructor or function.

    def conv4(image_shape, n_way, *, filters: Count = 32, centred: bool = False): ...

The annotation is an option's type and range, the `Args:` entry of the docstring its help, the default its default. A
class whose constructor ends in `**kwargs` has the options of the class above it too; a `functools.partial` takes no
option that it fixes. Flags, validation, `get_config`, what a run is bound to and docs/options.md follow from this.
"""

import collections.abc
import functools
import inspect
import math
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from absl import flags


class Rule(NamedTuple):
    """What a value must be beside its type: put it into `Annotated`.

    Attributes:
        holds: of a value.
        words: what it must be, to follow "must be".
    """

    holds: Callable[[Any], bool]
    words: str


def at_least(least: float) -> Rule:
    """For numbers with a lower bound."""
    return Rule(lambda value: least <= value < math.inf, f"at least {least}")


def between(least: float, most: float) -> Rule:
    """For numbers with two bounds, both allowed."""
    return Rule(lambda value: least <= value <= most, f"from {least} to {most}")


def one_of(registry: Mapping[str, Any]) -> Rule:
    """For names of what a registry holds, now or later."""
    return Rule(lambda name: name in registry, f"one of {', '.join(registry)}")


FREE = object()
"""Put into `Annotated` where an option decides how, not what, is computed: a run may go on with another value."""

Count = Annotated[int, at_least(1)]
Whole = Annotated[int, at_least(0)]
Rate = Annotated[float, Rule(lambda value: 0 < value < math.inf, "positive and finite")]
Weight = Annotated[float, Rule(lambda value: 0 <= value < math.inf, "at least 0 and finite")]
Share = Annotated[float, Rule(lambda value: 0 < value <= 1, "in (0, 1]")]
Interval = Annotated[
    tuple[float, float],
    Rule(lambda value: -math.inf < value[0] <= value[1] < math.inf, "two finite numbers, low,high"),
]

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


class Option(NamedTuple):
    """One thing that can be chosen.

    Attributes:
        name: of the argument, and of the flag.
        item: the type of the value, or of its items.
        length: None for a single value; how many items a sequence has, 0 for any number.
        choices: the values there are; empty for any.
        optional: whether it may be None.
        rules: what else must hold.
        free: whether a run may go on with another value.
        default: taken where none is given.
        help: one or more sentences.
        origin: the class or function whose argument it is.
    """

    name: str
    item: type
    length: int | None
    choices: tuple
    optional: bool
    rules: tuple[Rule, ...]
    free: bool
    default: Any
    help: str
    origin: Callable

    def check(self, value: Any) -> None:
        """Refuses what the option cannot be.

        Raises:
            ValueError: with a sentence that names the option, what it must be and what it was.
        """
        if value is None and self.optional:
            return
        items = [value]
        if self.length is not None:
            right = isinstance(value, collections.abc.Sequence) and not isinstance(value, str)
            if not right or (self.length and len(value) != self.length):
                self._refuse(value)
            items = value
        if not all(_is(item, self.item) for item in items) or (self.choices and value not in self.choices):
            self._refuse(value)
        if not all(rule.holds(value) for rule in self.rules):
            self._refuse(value)

    def _refuse(self, value):
        raise ValueError(f"{self.name} must be {self.expected}, got {value!r}.")

    @property
    def expected(self) -> str:
        """What it must be, in words."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.rules:
            whole = "a whole number, " if self.item is int and self.length is None else ""
            return whole + " and ".join(rule.words for rule in self.rules)
        return _WORDS[self.item] if self.length is None else f"a list, each {_WORDS[self.item]}"

    @property
    def shown_default(self) -> str:
        """The default as a flag would be given it."""
        if self.length is not None:
            return ",".join(map(str, self.default)) or "none"
        return (
            "unset" if self.default is None else str(self.default).lower() if self.item is bool else str(self.default)
        )

    def parse(self, text: Any) -> Any:
        """The value that a flag's text, or JSON, means.

        Raises:
            ValueError: as `check`.
        """
        if text is None:
            return None
        try:
            if self.length is None:
                value = _parsed(text, self.item)
            else:
                items = [item for item in text.split(",") if item] if isinstance(text, str) else text
                value = tuple(_parsed(item, self.item) for item in items)
        except (TypeError, ValueError, KeyError, OverflowError):
            self._refuse(text)
        self.check(value)
        return value


def _is(value, item):
    if item is bool or item is str:
        return isinstance(value, item)
    number = isinstance(value, int | float) or hasattr(value, "__float__")
    try:
        return number and not isinstance(value, bool) and (item is float or float(value) == int(value))
    except (ValueError, OverflowError):  # of no number, and beyond what float holds
        return False


def _parsed(text, item):
    if item is bool and isinstance(text, str):
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    if item is int and isinstance(text, float):
        raise ValueError
    return text if item is bool else item(text)


def target(component: Callable) -> Callable:
    """The class or function below `functools.partial`s."""
    return target(component.func) if isinstance(component, functools.partial) else component


@functools.cache
def _declared(component):
    """Options by name of a class or function, in the order of its arguments, those of the class above it last."""
    found = {}
    for owner, function in _functions(component):
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
        words = _arguments_in(inspect.getdoc(owner) or "")
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and name in hints and name not in found:
                found[name] = _option(name, hints[name], parameter.default, words.get(name, ""), owner)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
            break
    return found


def _functions(component):
    if not inspect.isclass(component):
        yield component, component
        return
    for owner in component.__mro__:
        if "__init__" in vars(owner):
            yield owner, vars(owner)["__init__"]


def _option(name, annotation, default, words, owner):
    rules, free, optional, choices = [], False, False, ()
    while True:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is Annotated:
            annotation, *more = arguments
            rules += [each for each in more if isinstance(each, Rule)]
            free |= any(each is FREE for each in more)
        elif origin in (typing.Union, types.UnionType):
            (annotation,) = (each for each in arguments if each is not type(None))
            optional = True
        elif origin is Literal:
            annotation, choices = type(arguments[0]), arguments
        else:
            break
    length = None
    if origin in (tuple, list, collections.abc.Sequence):
        length = len(arguments) if origin is tuple and arguments[-1] is not ... else 0
        annotation = arguments[0]
    if annotation not in _WORDS:
        raise TypeError(f"{owner.__qualname__}: the option {name} is of a type that no flag can have, {annotation}.")
    return Option(name, annotation, length, choices, optional, tuple(rules), free, default, words, owner)


def _arguments_in(doc):
    """The entries of a docstring's `Args:`, by name, each as one line."""
    section = re.search(r"^Args:\n((?:[ ]{4,}.*\n|\n)*)", doc + "\n", re.MULTILINE)
    entries = re.split(
        r"^((?:\*\*)?\w+(?:, (?:\*\*)?\w+)*): ", textwrap.dedent(section[1]) if section else "", flags=re.MULTILINE
    )[1:]
    pairs = zip(entries[::2], entries[1::2], strict=True)
    return {name: " ".join(words.split()) for names, words in pairs for name in names.split(", ")}


def of(component: Callable) -> dict[str, Option]:
    """The options of a class, a function or a partial of one, by name."""
    fixed = {}
    declared = _declared(target(component))
    while isinstance(component, functools.partial):
        fixed |= component.keywords
        component = component.func
    unused = getattr(component, "unused_options", ())
    return {name: option for name, option in declared.items() if name not in fixed and name not in unused}


def parts(component: Callable) -> tuple[str, ...]:
    """The names of the other arguments: what a component is made of, a learner say."""
    _, function = next(_functions(target(component)))
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind in positional]
    return tuple(name for name in names if name != "self")


def check(component: Callable, given: Mapping[str, Any]) -> None:
    """Refuses values that options of a component cannot have; other names are passed over.

    Raises:
        ValueError: see `Option.check`; and for an option that the component makes no use of.
    """
    declared = _declared(target(component))
    for name, value in given.items():
        if name in getattr(component, "unused_options", ()):
            raise ValueError(f"{component.__name__} makes no use of {name}: leave it out.")
        if name in declared:
            declared[name].check(value)
    together = getattr(component, "check_together", None)
    if together:
        together({name: option.default for name, option in declared.items()} | given)


def checked(function: Callable) -> Callable:
    """Decorates a function so that its options are checked before it is called."""

    @functools.wraps(function)
    def call(*arguments, **given):
        check(function, given)
        return function(*arguments, **given)

    return call


def pick(component: Callable, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of values by name those of a component's options."""
    return {name: values[name] for name in of(component) if name in values}


class Configured:
    """A class whose options are checked when it is called, kept as attributes, and told by `get_config`.

    Attributes:
        unused_options: inherited options that a subclass makes no use of.
    """

    unused_options: frozenset[str] = frozenset()

    def __new__(cls, *arguments, **given):
        check(cls, given)
        new = super().__new__
        return new(cls) if new is object.__new__ else new(cls, *arguments, **given)

    @classmethod
    def check_together(cls, values: Mapping[str, Any]) -> None:
        """Refuses options that do not go together; nothing unless overridden.

        Args:
            values: of all options, by name.

        Raises:
            ValueError: with a sentence.
        """

    def get_config(self) -> dict[str, Any]:
        """What Keras makes the same again of."""
        return super().get_config() | {name: getattr(self, name) for name in of(type(self))}


Takers = Iterable[tuple[str, Callable]]
"""Components, each with what its users call it: `"--method=maml"`, or other words for what always runs."""


def define(
    takers: Takers, wanted: Callable[[Option], bool] = lambda option: True, flag_values: flags.FlagValues = flags.FLAGS
) -> None:
    """Defines a flag for each option of some components; unset, it is None.

    Args:
        takers: see `Takers`.
        wanted: which options.
        flag_values: where flags are defined.
    """
    for name, options in collected(takers).items():
        first = next(iter(options.values()))
        if not wanted(first):
            continue
        if first.item is bool and first.length is None:
            flag = flags.BooleanFlag(name, None, described(options))
        else:
            flag = flags.Flag(_Parser(tuple(options.values())), _Serializer(), name, None, described(options))
        flags.DEFINE_flag(flag, flag_values, module_name=f"{first.origin.__module__}.{first.origin.__qualname__}")


def collected(takers: Takers) -> dict[str, dict[str, Option]]:
    """For the name of each option, the option as each of its takers has it."""
    found: dict[str, dict[str, Option]] = {}
    for taker, component in takers:
        for name, option in of(component).items():
            found.setdefault(name, {})[taker] = option
    return found


def described(options: Mapping[str, Option]) -> str:
    """Help on an option, from what its takers say of it, with defaults and who takes it."""
    defaults: dict[str, list[str]] = {}
    for taker, option in options.items():
        defaults.setdefault(option.shown_default, []).append(taker)
    said = "; ".join(
        shown if len(defaults) == 1 else f"{shown} for {listed(takers)}" for shown, takers in defaults.items()
    )
    takers = [taker for taker in options if taker.startswith("--")]
    taken = f" Taken by {listed(takers)}." if takers else ""
    helps: dict[str, list[str]] = {}
    for taker, option in options.items():
        helps.setdefault(f"{option.help[:1].upper()}{option.help[1:]}", []).append(taker)
    first, *others = helps
    words = " ".join([first, *(f"For {listed(helps[other])}: {other}" for other in others)])
    return f"{words} Default: {said}.{taken}"


def listed(takers: Iterable[str]) -> str:
    """`--method=a`, `--method=b` and `--cell=c` as `--method=a, b, --cell=c`."""
    words, last = [], None
    for taker in sorted(takers):
        flag, _, name = taker.partition("=")
        words.append(name if name and flag == last else taker)
        last = flag
    return ", ".join(words)


class _Parser(flags.ArgumentParser):
    """Takes what an option of that name can be for any of its takers; which one it is for is known later."""

    def __init__(self, options):
        self._options = options
        self.syntactic_help = f"must be {options[0].expected}"

    def flag_type(self):
        return self._options[0].item.__name__

    def parse(self, argument):
        problem = None
        for option in self._options:
            try:
                return option.parse(argument)
            except ValueError as error:
                problem = problem or error
        raise problem


class _Serializer(flags.ArgumentSerializer):
    def serialize(self, value):
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def names_of(components: Iterable[Callable]) -> set[str]:
    """The names of all options of some components."""
    return {name for component in components for name in of(component)}
