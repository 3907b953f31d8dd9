"""Options of a component: the annotated keyword-only arguments of its constructor or function.

    def conv4(image_shape, n_way, *, filters: Count = 32, centred: bool = False): ...

The annotation gives an option's type and range, the `Args:` entry of the docstring gives its help, and the argument's
default is its default. A class whose constructor ends in `**kwargs` also has the options of its parent class. A
`functools.partial` does not offer the options that it fixes. Flags, validation, `get_config`, the options that a run
is bound to, and docs/options.md all follow from this.
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
    """A condition on a value besides its type; put it into `Annotated`.

    Attributes:
        holds: returns whether a value satisfies the rule.
        words: the condition as text that follows "must be".
    """

    holds: Callable[[Any], bool]
    words: str


def at_least(least: float) -> Rule:
    """A rule for numbers with a lower bound."""
    return Rule(lambda value: least <= value < math.inf, f"at least {least}")


def between(least: float, most: float) -> Rule:
    """A rule for numbers with two bounds, both included."""
    return Rule(lambda value: least <= value <= most, f"from {least} to {most}")


def one_of(registry: Mapping[str, Any]) -> Rule:
    """A rule for names in a registry, which may grow later."""
    return Rule(lambda name: name in registry, f"one of {', '.join(registry)}")


FREE = object()
"""Put into `Annotated` if an option changes how, not what, is computed: a run can continue with another value."""

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
    """One option of a component.

    Attributes:
        name: of the argument and the flag.
        item: the type of the value, or of its items.
        length: None for a single value; else the number of items in the sequence, 0 for any number.
        choices: the values allowed; empty for any.
        optional: whether the value may be None.
        rules: further conditions on the value.
        free: whether a run can continue with another value.
        default: the value if none is given.
        help: one or more sentences.
        origin: the class or function that has the argument.
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
        """Checks a value.

        Raises:
            ValueError: if the option cannot have it; the message gives the option, what it must be, and the value.
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
        """What the value must be, in words."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        if self.rules:
            whole = "a whole number, " if self.item is int and self.length is None else ""
            return whole + " and ".join(rule.words for rule in self.rules)
        return _WORDS[self.item] if self.length is None else f"a list, each {_WORDS[self.item]}"

    @property
    def shown_default(self) -> str:
        """The default as one would write it after the flag."""
        if self.length is not None:
            return ",".join(map(str, self.default)) or "none"
        return (
            "unset" if self.default is None else str(self.default).lower() if self.item is bool else str(self.default)
        )

    def parse(self, text: Any) -> Any:
        """The value of a flag's text or of a JSON value.

        Raises:
            ValueError: like `check`.
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
    except (ValueError, OverflowError):  # not a number, or larger than a float can hold
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
    """The options of a class or function by name, in the order of its arguments; those of parent classes come last."""
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
    """The entries of a docstring's `Args:` by name, each on one line."""
    section = re.search(r"^Args:\n((?:[ ]{4,}.*\n|\n)*)", doc + "\n", re.MULTILINE)
    entries = re.split(
        r"^((?:\*\*)?\w+(?:, (?:\*\*)?\w+)*): ", textwrap.dedent(section[1]) if section else "", flags=re.MULTILINE
    )[1:]
    pairs = zip(entries[::2], entries[1::2], strict=True)
    return {name: " ".join(words.split()) for names, words in pairs for name in names.split(", ")}


def of(component: Callable) -> dict[str, Option]:
    """The options of a class, a function or a `functools.partial`, by name."""
    fixed = {}
    declared = _declared(target(component))
    while isinstance(component, functools.partial):
        fixed |= component.keywords
        component = component.func
    unused = getattr(component, "unused_options", ())
    return {name: option for name, option in declared.items() if name not in fixed and name not in unused}


def parts(component: Callable) -> tuple[str, ...]:
    """The names of the positional arguments: the parts of a component, for example a learner."""
    _, function = next(_functions(target(component)))
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind in positional]
    return tuple(name for name in names if name != "self")


def check(component: Callable, given: Mapping[str, Any]) -> None:
    """Checks values against a component's options; it ignores names that are not options.

    Raises:
        ValueError: see `Option.check`; also for an option that the component does not use.
    """
    declared = _declared(target(component))
    for name, value in given.items():
        if name in getattr(component, "unused_options", ()):
            raise ValueError(f"{component.__name__} does not use {name}: leave it out.")
        if name in declared:
            declared[name].check(value)
    together = getattr(component, "check_together", None)
    if together:
        together({name: option.default for name, option in declared.items()} | given)


def checked(function: Callable) -> Callable:
    """Decorates a function so that each call checks its options first."""

    @functools.wraps(function)
    def call(*arguments, **given):
        check(function, given)
        return function(*arguments, **given)

    return call


def pick(component: Callable, values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `values` that are options of a component."""
    return {name: values[name] for name in of(component) if name in values}


class Configured:
    """A class that checks its options when it is constructed, and returns them from `get_config`.

    The constructor of a subclass keeps each option as an attribute of the same name.

    Attributes:
        unused_options: inherited options that a subclass does not use.
    """

    unused_options: frozenset[str] = frozenset()

    def __new__(cls, *arguments, **given):
        check(cls, given)
        new = super().__new__
        return new(cls) if new is object.__new__ else new(cls, *arguments, **given)

    @classmethod
    def check_together(cls, values: Mapping[str, Any]) -> None:
        """Checks the combination of options; does nothing unless overridden.

        Args:
            values: all options, by name.

        Raises:
            ValueError: if they exclude each other.
        """

    def get_config(self) -> dict[str, Any]:
        """The configuration that Keras rebuilds the object from."""
        return super().get_config() | {name: getattr(self, name) for name in of(type(self))}


Takers = Iterable[tuple[str, Callable]]
"""Components, each with its name for users: `"--method=maml"`, or other words for a component that always runs."""


def define(
    takers: Takers, wanted: Callable[[Option], bool] = lambda option: True, flag_values: flags.FlagValues = flags.FLAGS
) -> None:
    """Defines a flag for each option of some components; an unset flag is None.

    Args:
        takers: see `Takers`.
        wanted: returns whether an option gets a flag.
        flag_values: where the flags are defined.
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
    """The options by name; for each name, the option of each component that has it."""
    found: dict[str, dict[str, Option]] = {}
    for taker, component in takers:
        for name, option in of(component).items():
            found.setdefault(name, {})[taker] = option
    return found


def described(options: Mapping[str, Option]) -> str:
    """Help on an option: the text of its components, the defaults, and which components take it."""
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
    """Joins names: `--method=a`, `--method=b` and `--cell=c` become `--method=a, b, --cell=c`."""
    words, last = [], None
    for taker in sorted(takers):
        flag, _, name = taker.partition("=")
        words.append(name if name and flag == last else taker)
        last = flag
    return ", ".join(words)


class _Parser(flags.ArgumentParser):
    """Accepts a value that is valid for any component with this option; which one is chosen is known later."""

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
