"""What a constructor says of its options is what the command line, validation and Keras make of it."""

import functools
from collections.abc import Sequence
from typing import Annotated, Literal

import keras
import pytest
from absl import flags

from ml_lstm import options
from ml_lstm.options import FREE, Configured, Count, Interval, Rate, Rule, Share, Weight, Whole, checked


class Base(Configured, keras.layers.Layer):
    """A component.

    Args:
        steps: how often.
        rate: how fast,
            in a second line.
    """

    def __init__(self, part=None, *, steps: Count = 3, rate: Rate = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.part, self.steps, self.rate = part, steps, rate


class Derived(Base):
    """Another.

    Args:
        kind: what sort.
        **shared: see `Base`.
    """

    unused_options = frozenset({"rate"})

    def __init__(self, part=None, *, kind: Literal["soft", "hard"] = "soft", **shared):
        super().__init__(part, **shared)
        self.kind = kind


@checked
def function(shape, *, widths: Sequence[int] = (2, 3), place: Annotated[str | None, FREE] = None, on: bool = False):
    """Makes something.

    Args:
        shape: no option.
        widths: of layers.
        place: where.
        on: whether.
    """
    return shape, widths, place, on


def test_options_are_the_annotated_keyword_arguments_inherited_ones_included():
    found = options.of(Base)
    assert list(found) == ["steps", "rate"]
    assert (found["steps"].default, found["steps"].help) == (3, "how often.")
    assert found["rate"].help == "how fast, in a second line."
    assert list(options.of(Derived)) == ["kind", "steps"]
    assert options.parts(Derived) == ("part",)
    assert [name for name, option in options.of(function).items() if option.free] == ["place"]


def test_a_partial_takes_no_option_that_it_fixes():
    fixed = functools.partial(Derived, kind="hard")
    assert list(options.of(fixed)) == ["steps"]
    assert options.target(fixed) is Derived
    assert fixed().kind == "hard"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Base(steps=0), "steps must be a whole number, at least 1, got 0."),
        (lambda: Base(steps=2.5), "steps must be a whole number, at least 1, got 2.5."),
        (lambda: Base(steps=True), "steps must be a whole number, at least 1, got True."),
        (lambda: Base(rate=float("inf")), "rate must be positive and finite, got inf."),
        (lambda: Base(rate="fast"), "rate must be positive and finite, got 'fast'."),
        (lambda: Derived(kind="mild"), "kind must be one of soft, hard, got 'mild'."),
        (lambda: Derived(rate=0.5), "Derived does not use rate: leave it out."),
        (lambda: function((), widths=3), "widths must be a list, each a whole number, got 3."),
        (lambda: function((), on=1), "on must be true or false, got 1."),
    ],
)
def test_a_value_out_of_range_is_a_sentence_with_what_was_received(make, sentence):
    with pytest.raises(ValueError) as raised:
        make()
    assert str(raised.value) == sentence


def test_keras_makes_the_same_again_of_the_config():
    made = Derived(kind="hard", steps=7)
    config = made.get_config()
    assert (config["kind"], config["steps"]) == ("hard", 7)
    assert "rate" not in config
    assert Derived.from_config(config).get_config() == config


def parsed(*words, takers=(("--a=base", Base), ("--a=derived", Derived), ("f", function))):
    values = flags.FlagValues()
    options.define(takers, flag_values=values)
    values(["program", *words])
    return {name: values[name].value for name in options.collected(takers)}


def test_flags_mean_what_python_takes():
    values = parsed("--steps=4", "--widths=5,6,7", "--on", "--kind=hard", "--rate=1e-2")
    assert values == {"steps": 4, "widths": (5, 6, 7), "on": True, "kind": "hard", "rate": 0.01, "place": None}


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("--steps=0", "steps must be a whole number, at least 1, got 0."),
        ("--steps=ten", "steps must be a whole number, at least 1, got 'ten'."),
        ("--kind=mild", "kind must be one of soft, hard, got 'mild'."),
        ("--widths=5,x", "widths must be a list, each a whole number, got '5,x'."),
    ],
)
def test_a_flag_out_of_range_is_the_sentence_that_python_says(word, sentence):
    with pytest.raises(flags.IllegalFlagValueError) as raised:
        parsed(word)
    assert str(raised.value) == f"flag {word}: {sentence}"


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        (Whole, (0, 3), (-1,)),
        (Weight, (0, 0.5), (-0.1, float("nan"))),
        (Share, (0.1, 1), (0, 1.1)),
        (Interval, ((-1, 2), [3.0, 3.0]), ((2, 1), (1,), (0, float("inf")), "12")),
        (str | None, (None, "x"), (3,)),
        (Annotated[tuple[int, ...], Rule(lambda value: len(value) < 3, "short")], ((), (1, 2)), ((1, 2, 3), (0.5,))),
    ],
)
def test_ranges(annotation, right, wrong):
    def takes(*, it=None):
        pass

    takes.__annotations__ = {"it": annotation}
    option = options.of(takes)["it"]
    for value in right:
        option.check(value)
    for value in wrong:
        with pytest.raises(ValueError, match="it must be"):
            option.check(value)


def test_help_tells_defaults_and_takers():
    found = options.collected([("--a=base", Base), ("--a=derived", Derived)])
    assert options.described(found["steps"]) == "How often. Default: 3. Taken by --a=base, derived."
    other = functools.partial(Base)
    other.__doc__ = Base.__doc__
    assert options.described(found["kind"]) == "What sort. Default: soft. Taken by --a=derived."


def test_an_annotation_that_no_flag_can_have_is_refused():
    def wrong(*, it: dict = None):  # noqa: RUF013
        pass

    with pytest.raises(TypeError, match="wrong: the option it is of a type that no flag can have"):
        options.of(wrong)
