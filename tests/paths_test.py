"""`~` is a home wherever a path is given, and what TensorFlow cannot open is refused."""

import ast
from pathlib import Path

import pytest

import ml_lstm
from ml_lstm import data
from ml_lstm.data import cache, prepared
from ml_lstm.errors import UserError
from ml_lstm.paths import expanded, for_tensorflow
from ml_lstm.runs import RunDirectory
from ml_lstm.serving.exported import ExportedClassifier

_PACKAGE = Path(ml_lstm.__file__).parent


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("path", ["~", "~/a b", "~root/x", "a/~", "~nobody-of-that-name/x", "./~", "/~"])
def test_a_home_is_meant_at_the_beginning_only(path, home):
    found = expanded(path)
    if path.startswith("~") and "nobody" not in path:
        assert found.is_absolute() and "~" not in str(found)
    else:
        assert found == Path(path)


@pytest.mark.parametrize(
    "place",
    [
        lambda path: RunDirectory(path).path,
        prepared.root,
        cache.place,
        for_tensorflow,
    ],
)
def test_every_place_is_below_home(place, home):
    assert place("~/x y") == home / "x y"


def test_what_is_missing_below_home_is_named_in_full(home):
    for missing in (lambda: data.load("folder", data_dir="~/x"), lambda: ExportedClassifier("~/x")):
        with pytest.raises(ValueError, match=str(home / "x")):
            missing()


@pytest.mark.parametrize("place", [RunDirectory, ExportedClassifier, for_tensorflow])
def test_a_name_that_tensorflow_cannot_open_is_refused_in_one_line(place):
    with pytest.raises(UserError, match="TensorFlow opens names in UTF-8 only"):
        place("/tmp/\udcff")


def _opened_flags(tree):
    """Lines where a flag's path is opened as it was typed."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        for argument in call.args:
            is_flag = isinstance(argument, ast.Attribute) and getattr(argument.value, "id", "") == "FLAGS"
            if name in ("Path", "open") and is_flag:
                yield call.lineno


@pytest.mark.parametrize("file", [*sorted(_PACKAGE.glob("*.py")), _PACKAGE / "data" / "__main__.py"], ids=str)
def test_no_command_opens_a_flag_as_it_was_typed(file):
    assert not list(_opened_flags(ast.parse(file.read_text())))
