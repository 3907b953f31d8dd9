"""A user's own networks: functions by name, and files that Keras saved."""

import sys
import textwrap

import keras
import numpy as np
import pytest
from absl import flags

from ml_lstm import options
from ml_lstm.episode import Problem
from ml_lstm.errors import UserError
from ml_lstm.learners import find_learner, natural_image_size
from ml_lstm.learners.own import own_file
from ml_lstm.runs import RunDirectory, settings, trained_method

SHAPE, WAY = (16, 16, 1), 3
PROBLEM = Problem(SHAPE, WAY, 7, [0.5], [0.2])

MODULE = """
    import keras
    from ml_lstm.options import Count

    def build(image_shape, n_way, *, depth: Count = 2, wide: bool = False):
        '''A stack of dense layers.

        Args:
            image_shape: of images.
            n_way: classes.
            depth: how many layers.
            wide: whether they are wide.
        '''
        layers = [keras.layers.Dense(16 if wide else 4, activation="relu") for _ in range(depth)]
        return keras.Sequential(
            [keras.Input(image_shape), keras.layers.Flatten(), *layers, keras.layers.Dense(n_way, name="head")]
        )

    def none(image_shape, n_way):
        return None

    def broken(image_shape, n_way):
        return 1 / 0

    def odd(image_shape, n_way, *, table: dict = {}):
        return None

    def narrow(image_shape, n_way):
        return build(image_shape, 2)

    number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """The name of a module of a user's."""
    name = f"own_networks_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def parsed(monkeypatch, *words):
    """What these mean, typed."""
    values, argv = flags.FlagValues(), ["train", *words]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(settings.flags, "FLAGS", values)
    for name, choice in settings.CHOICES.items():
        flags.DEFINE_string(name, choice.default, "", flag_values=values)
    options.define(settings.all_takers(settings.typed_learner(argv)), flag_values=values)
    values(argv)
    return settings.from_flags(argv, values)


def test_the_arguments_of_a_function_are_options(module, monkeypatch, tmp_path):
    learner = f"{module}:build"
    values = parsed(monkeypatch, "--method=maml", f"--learner={learner}", "--depth=3", f"--n_way={WAY}")
    assert (values["depth"], values["wide"], values["learner"]) == (3, False, learner)
    network = settings.build_method(values, PROBLEM).learner
    assert [layer.units for layer in network.layers if isinstance(layer, keras.layers.Dense)] == [4, 4, 4, WAY]
    path = tmp_path / "shared.flags"
    path.write_text(f"--learner={learner}\n--nowide\n--depth=1\n")
    assert parsed(monkeypatch, "--method=maml", f"--flagfile={path}")["depth"] == 1
    with pytest.raises(flags.Error, match="depth must be a whole number, at least 1, got 0"):
        parsed(monkeypatch, f"--learner={learner}", "--depth=0")
    with pytest.raises(flags.Error, match="depth"):
        parsed(monkeypatch, "--learner=conv4", "--depth=3")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("other", "has no such function"),
        ("number", "has no function there, but something else"),
        ("odd", "the option table is of a type that no flag can have"),
        ("none", "must return a keras.Model, not NoneType"),
        ("broken", r"failed: ZeroDivisionError: division by zero, .*\.py:\d+\."),
        ("narrow", "has outputs for 2 classes, and the problem has 3"),
    ],
)
def test_what_is_wrong_with_a_function_is_told_in_one_line(function, message, module):
    with pytest.raises(ValueError, match=message) as caught:
        values = settings.complete({"method": "maml", "learner": f"{module}:{function}", "n_way": WAY})
        settings.build_method(values, PROBLEM)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no_such_package.module:build",
            r"cannot be imported \(ModuleNotFoundError: No module named 'no_such_package'",
        ),
        ("conv5", "learner must be one of conv4, .* a network of keras.applications .* got 'conv5'"),
        ("nowhere/net.keras", "there is no file nowhere/net.keras"),
    ],
)
def test_a_name_that_nothing_has_is_told_in_one_line(name, message, monkeypatch):
    with pytest.raises(ValueError, match=message):
        find_learner(name)
    with pytest.raises(flags.Error, match=message):
        parsed(monkeypatch, f"--learner={name}")


def test_an_error_in_a_users_module_is_told_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "own_networks_broken.py").write_text("x = 1\nx = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"ZeroDivisionError: division by zero, .*own_networks_broken.py:2\)"):
        find_learner("own_networks_broken:build")


def saved(path, shape=SHAPE, classes=WAY, last=True, side=None):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3, strides=4), keras.layers.GlobalAveragePooling2D()]
    head = [keras.layers.Dense(classes, name="head")] if last else []
    network = keras.Sequential([keras.Input((side, side, shape[-1]) if side else shape), *layers, *head])
    network.save(path)
    return network


def images(shape=SHAPE):
    return np.random.default_rng(0).uniform(size=(5, *shape)).astype("float32")


@pytest.mark.parametrize(("pixels", "factor"), [("normalised", 1), ("unit", 1), ("byte", 255)])
def test_a_file_gets_the_pixels_that_it_is_for(pixels, factor, tmp_path):
    network = saved(tmp_path / "net.keras")
    values = settings.complete(
        {"method": "maml", "learner": str(tmp_path / "net.keras"), "n_way": WAY, "pixels": pixels}
    )
    assert values["image_size"] == 16
    method = settings.build_method(values, PROBLEM)
    seen = (images() - 0.5) / 0.2 if pixels == "normalised" else images() * factor
    np.testing.assert_allclose(method.learner(method.normalize(images())), network(seen), rtol=1e-4, atol=1e-4)


def test_grey_images_become_three_channels_for_a_network_of_colours(tmp_path):
    network = saved(tmp_path / "net.keras", (16, 16, 3))
    found = own_file(str(tmp_path / "net.keras"), SHAPE, WAY)(images())
    np.testing.assert_allclose(found, network(np.repeat(images(), 3, axis=-1)), rtol=1e-5, atol=1e-6)


def test_a_file_that_gives_features_is_compared_by_all_of_it(tmp_path):
    network = saved(tmp_path / "net.keras", last=False)
    values = settings.complete({"method": "prototypical", "learner": str(tmp_path / "net.keras"), "n_way": WAY})
    np.testing.assert_allclose(settings.build_method(values, PROBLEM).learner(images()), network(images()), rtol=1e-6)


def test_a_file_for_images_of_any_size_has_none_of_its_own(tmp_path):
    saved(tmp_path / "net.keras", (None, None, 1))
    assert natural_image_size(str(tmp_path / "net.keras")) is None


def test_what_is_wrong_with_a_file_is_told_in_one_line(tmp_path):
    (tmp_path / "text.keras").write_text("hello")
    unsafe = keras.Sequential([keras.Input(SHAPE), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()])
    unsafe.save(tmp_path / "unsafe.keras")
    saved(tmp_path / "colour.keras", (16, 16, 3))
    for file, shape, message in (
        ("text.keras", SHAPE, "cannot be loaded by Keras"),
        ("unsafe.keras", SHAPE, "cannot be loaded by Keras: .*[Ll]ambda"),
        ("colour.keras", (32, 32, 3), r"does not take images of shape \(32, 32, 3\)"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            own_file(str(tmp_path / file), shape, WAY)
        assert "\n" not in str(caught.value)
    saved(tmp_path / "narrow.keras", classes=2)
    values = settings.complete({"method": "maml", "learner": str(tmp_path / "narrow.keras"), "n_way": WAY})
    with pytest.raises(UserError, match="has outputs for 2 classes, and the problem has 3"):
        settings.build_method(values, PROBLEM)


def run_of(path, values, problem=PROBLEM):
    """A run that was begun, and saved once."""
    run = RunDirectory(str(path))
    network = settings.build_network(values, problem)
    method = settings.build_method(values, problem, network)
    run.create(settings.bound(values), problem, "classes", network)
    run.best(model=method, progress=keras.layers.Dense(1)).save(4)
    return run, method


def test_a_run_does_without_the_file_and_is_bound_to_what_was_in_it(tmp_path):
    path = tmp_path / "net.keras"
    network = saved(path)
    network.layers[0].trainable = False
    network.save(path)
    values = settings.complete({"method": "maml", "learner": str(path), "n_way": WAY})
    run, method = run_of(tmp_path / "run", values)
    assert run.exists(settings.bound(values))
    moved = tmp_path / "elsewhere" / "net.keras"
    moved.parent.mkdir()
    path.rename(moved)
    assert run.exists(settings.bound(settings.complete({**values, "learner": str(moved)})))
    again, episodes, _ = trained_method(run)
    assert episodes == 4
    np.testing.assert_array_equal(again.learner(images()), method.learner(images()))
    assert len(again.learner.trainable_variables) == 2
    size = sum(part.stat().st_size for part in (tmp_path / "run" / "checkpoints").glob("*.data*"))
    saved(moved, classes=WAY + 1)
    with pytest.raises(UserError, match=r"--learner was 'net.keras@sha256:.*', is 'net.keras@sha256:"):
        run.exists(settings.bound(settings.complete({**values, "learner": str(moved)})))
    (tmp_path / "run" / "learner.keras").write_text("damaged")
    with pytest.raises(UserError, match="the network that the run started with, cannot be read"):
        trained_method(run)
    assert size < 4000


def test_a_pretrained_network_of_a_run_is_the_same_without_its_file(tmp_path):
    network = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(32, 32, 3))
    path = tmp_path / "some.weights.h5"
    network.save_weights(path)
    chosen = {"learner": "MobileNetV3Small", "pretrained": str(path), "image_size": 32, "method": "maml", "n_way": WAY}
    values = settings.complete(chosen)
    run, method = run_of(tmp_path / "run", values, PROBLEM._replace(image_shape=(32, 32, 1)))
    path.unlink()
    bound = run.bound()
    assert bound["learner"] == "mobilenet_v3_small"
    assert bound["pretrained"].startswith("some.weights.h5@sha256:")
    again = settings.build_method(run.values(), run.problem(), run.network())
    for one, other in zip(method.learner.get_weights(), again.learner.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    frozen = sum(weight.nbytes for weight in network.get_weights())
    assert frozen > 3e6
    assert sum(part.stat().st_size for part in (tmp_path / "run" / "checkpoints").iterdir()) < 50_000
    assert type(again).from_config(again.get_config()).network.num_parameters == 576 * WAY + WAY
