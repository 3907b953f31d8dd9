"""What a run is made of, from flags and from Python."""

import functools
import inspect

import keras
import pytest
from absl import flags

from ml_lstm import options
from ml_lstm.cells import CELLS
from ml_lstm.data import SOURCES, FewShotData
from ml_lstm.episode import Problem
from ml_lstm.errors import UserError
from ml_lstm.learners import LEARNERS
from ml_lstm.methods import METHODS
from ml_lstm.runs import settings

PROBLEM = Problem((16, 16, 1), 5, 7, [0.5], [0.2])


@pytest.fixture
def parse(monkeypatch):
    """`parse(words)`: what these mean, typed."""
    values = flags.FlagValues()
    options.define(settings.all_takers(), flag_values=values)
    for name, choice in settings.CHOICES.items():
        flags.DEFINE_enum(name, choice.default, sorted(choice.registry), choice.help, flag_values=values)

    def parse(*words):
        values.unparse_flags()
        for name in values:
            values[name].unparse()
        argv = ["train", *words]
        values(argv)
        return settings.from_flags(argv, values)

    return parse


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method=prototypical", "--inner_steps=3"], "--inner_steps is not for --method=prototypical; it is for"),
        (
            ["--method=maml", "--nosecond_order"],
            "--second_order is not for --method=maml; it is for --method=meta_lstm",
        ),
        (["--method=fomaml", "--second_order"], "--second_order is not for --method=fomaml"),
        (["--method=matching", "--read_steps", "3"], "--read_steps is not for --method=matching; .*matching_fce"),
        (["--method=maml", "--cell=gru"], "--cell is not for --method=maml; it is for --method=meta_lstm"),
        (["--cell=sgd", "--hidden_units=4"], "--hidden_units is not for --cell=sgd; it is for --cell=complete_lstm"),
        (["--learner=conv4_2pool", "--pools=3"], "--pools is not for --learner=conv4_2pool; it is for --learner=conv4"),
        (["--data_dir=DIR"], "--data_dir is not for --dataset=glyphs; it is for --dataset=cifar_fs"),
        (["--method=pixel_nearest_neighbour", "--learning_rate=1"], "--learning_rate is not for"),
        (["--method=nearest_neighbour", "--train_k_shot=2"], "--train_k_shot is not for"),
        (["--method=meta_networks", "--initial_weights=RUN"], "--initial_weights is not for --method=meta_networks; "),
        (["--method=mann", "--read_heads=9", "--memory_rows=8"], "read_heads must not be more than memory_rows"),
    ],
)
def test_what_concerns_nothing_chosen_is_refused_where_it_is_typed(words, message, parse):
    with pytest.raises(flags.Error, match=message):
        parse(*words)


def test_what_concerns_nothing_chosen_is_passed_over_in_a_flag_file(parse, tmp_path, capsys):
    path = tmp_path / "shared.flags"
    path.write_text("--inner_steps=3\n--cell=gru\n--k_shot=2\n")
    values = parse("--method=prototypical", f"--flagfile={path}")
    assert values["k_shot"] == 2
    assert not {"inner_steps", "cell"} & values.keys()
    assert capsys.readouterr().out == "Ignored, as nothing that was chosen takes them: --cell, --inner_steps.\n"


def components():
    for choice, registry in (("method", METHODS), ("cell", CELLS), ("learner", LEARNERS), ("dataset", SOURCES)):
        for name in registry:
            yield pytest.param(choice, name, id=f"{choice}={name}")


def python_defaults(component):
    """By the signatures alone, not by `ml_lstm.options`."""
    fixed = {}
    while isinstance(component, functools.partial):
        fixed |= component.keywords
        component = component.func
    found = {}
    owners = component.__mro__ if inspect.isclass(component) else [component]
    for owner in owners:
        function = vars(owner).get("__init__") if inspect.isclass(owner) else owner
        for name, parameter in inspect.signature(function).parameters.items() if function else ():
            if parameter.kind is parameter.KEYWORD_ONLY:
                found.setdefault(name, parameter.default)
    return found | fixed


@pytest.mark.parametrize(("choice", "name"), list(components()))
def test_a_default_in_python_is_the_default_on_the_command_line(choice, name, parse):
    words = [f"--{choice}={name}"]
    values = parse(*words)
    component = settings.component(choice, name)
    expected = python_defaults(component)
    own = options.of(component)
    assert {option: values[option] for option in own} == {option: expected[option] for option in own}
    data = {option: expected for option, expected in python_defaults(FewShotData).items() if option in values}
    assert {option: values[option] for option in data} == data


@pytest.mark.parametrize("name", METHODS)
def test_a_method_made_in_python_is_the_one_that_the_command_line_makes(name):
    made = settings.build_method(settings.complete({"method": name}), PROBLEM)
    parts = {"problem": PROBLEM}
    if "learner" in options.parts(METHODS[name]):
        learner = LEARNERS["conv4"](PROBLEM.image_shape, PROBLEM.n_way)
        parts["learner"] = options.target(METHODS[name]).body_of(learner)
    config = METHODS[name](**parts).get_config()
    other = made.get_config()
    names = {option for option in config if option not in ("name", "learner", "cell")}
    assert {option: config[option] for option in names} == {option: other[option] for option in names}
    assert [weight.shape for weight in made.weights] == [weight.shape for weight in METHODS[name](**parts).weights]


def test_no_two_components_that_go_together_take_an_option_of_one_name_for_different_things():
    """But for those of a method and its like."""
    for method in METHODS:
        taken = {}
        for taker, component in settings.takers_of(
            {name: c.default for name, c in settings.CHOICES.items()} | {"method": method}
        ):
            for name, option in options.of(component).items():
                taken.setdefault(name, set()).add((taker, option.origin))
        assert not {name: takers for name, takers in taken.items() if len(takers) > 1}


def test_a_seed_decides_the_weights():
    values = settings.complete({"seed": 4})
    first, again = (settings.build_method(values, PROBLEM).get_weights() for _ in range(2))
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    keras.utils.set_random_seed(5)
    other = settings.build_method(settings.complete({"seed": 5}), PROBLEM).get_weights()
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


def test_weights_that_are_not_there_are_told_without_any_data(tmp_path):
    chosen = {"learner": "mobilenet_v3_small", "method": "prototypical", "image_size": 32}
    missing = settings.complete(chosen | {"pretrained": str(tmp_path / "none.weights.h5")})
    with pytest.raises(UserError, match="pretrained: there is no file"):
        settings.require_pretrained(missing)
    settings.require_pretrained(settings.complete(chosen | {"pretrained": "none"}))
    settings.require_pretrained(settings.complete({"method": "prototypical"}))
