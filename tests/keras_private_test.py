"""What is private to Keras is touched in one file, and that was checked with the version that is installed."""

import ast
from pathlib import Path

import keras

from ml_lstm import keras_private

_PACKAGE = Path(keras_private.__file__).parent
_NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}


def test_the_private_parts_were_checked_with_this_keras():
    installed = ".".join(keras.__version__.split(".")[:2])
    assert installed == keras_private.CHECKED_KERAS, (
        f"Keras {installed} is installed, {keras_private.CHECKED_KERAS} was checked: read ml_lstm/"
        "keras_private.py against its sources, function by function (does the attribute still do that? is the fault "
        "mended?), run tests/distribution and tests/commands/distributed_test.py, then set CHECKED_KERAS."
    )


def test_what_is_touched_is_there():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD())
    assert hasattr(model, "_distribute_strategy") and hasattr(model, "train_function")
    assert callable(model.optimizer._all_reduce_sum_gradients)


def test_a_train_function_that_is_set_is_the_one_that_fit_calls():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(), loss="mse")
    keras_private.hide_strategy(model)
    keras_private.set_train_function(model, lambda iterator: {"first": float(next(iterator)[0][0, 0])})
    history = model.fit(keras.ops.ones((1, 1)) * 7.0, keras.ops.ones((1, 1)), verbose=0)
    assert history.history == {"first": [7.0]}


def _foreign(trees):
    """`file:line name` of each private attribute that none of the files defines."""
    own, touched = set(_NAMED_TUPLE), []
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                of_itself = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                if of_itself and isinstance(node.ctx, ast.Store):
                    own.add(node.attr)
                else:
                    touched.append((node.attr, f"{file}:{node.lineno} {node.attr}"))
    return [where for name, where in touched if name not in own]


def test_no_other_file_touches_what_is_private_to_others():
    files = {path.relative_to(_PACKAGE.parent): ast.parse(path.read_text()) for path in _PACKAGE.rglob("*.py")}
    here = Path("ml_lstm/keras_private.py")
    assert len(_foreign({here: files.pop(here)})) == 3
    assert not _foreign(files)
