"""Changes the core of the package, one place at a time, and counts which changes the tests notice.

    pip install cosmic-ray
    python tests/mutations.py --json=mutations.json [--modules=data/sampler,...] [--processes=2]

Each place has one of the changes that Cosmic Ray has for it, drawn by --seed. Annotations are left alone. The tests of
a change run in a fork of a process that has imported TensorFlow, with the changed module in memory: no file is written.
Of the module's tests below, those run that execute the changed line, or all if it runs at import. A change survives if
they pass. --json is written after each change and the same command goes on from it.
"""

import argparse
import ast
import importlib.abc
import importlib.util
import json
import os
import random
import shlex
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest

_ROOT = Path(__file__).parents[1]
_METHODS = ["tests/methods/gradient_descent_test.py", "tests/methods/inner_loop_test.py"]
_LSTM = ["tests/methods/meta_lstm_unroll_test.py", "tests/methods/meta_lstm_test.py"]
_METRIC = ["tests/methods/metric_based_test.py", "tests/methods/shots_test.py"]
_EXPLAINED = ["tests/methods/explain_test.py"]
_DEFAULTS = ["tests/runs/options_page_test.py"]


def _kinds(names):
    return f"tests/methods/interface_test.py -k '{names}'"


# Modules and the tests that should notice a change, those that take least first: arguments of pytest.
TESTS = {
    "cells/preprocessing": ["tests/cells/preprocessing_test.py", "tests/cells/coordinate_lstm_test.py"],
    "data/sampler": ["tests/data/episodes_test.py", "tests/data/batches_test.py", "tests/data/stored_test.py"],
    "learners/functional": ["tests/learners/functional_test.py", "tests/learners/freezing_test.py", *_METHODS],
    "learners/preprocessing": ["tests/learners/requirements_test.py", "tests/learners/pretrained_test.py"],
    "methods/families/embedding_based": [*_DEFAULTS, *_METRIC, _kinds("prototypical or relation")],
    "methods/families/gradient_based": [
        *_DEFAULTS,
        *_METHODS,
        *_LSTM,
        *_EXPLAINED,
        _kinds("maml and not fomaml or meta_lstm and not (gru or turtle or complete or sgd)"),
    ],
    "methods/families/gradient_descent": [*_DEFAULTS, *_METHODS, _kinds("maml or reptile")],
    "methods/families/inner_loop": [*_METHODS, *_LSTM, *_EXPLAINED],
    "methods/families/joint_training": [
        *_DEFAULTS,
        "tests/methods/families/joint_training_test.py",
        _kinds("simple_shot or fine_tuning"),
    ],
    "methods/families/learned_optimizer": [
        *_DEFAULTS,
        "tests/methods/families/learned_optimizer_test.py",
        *_LSTM,
        _kinds("meta_lstm and not turtle"),
    ],
    "methods/families/nearest_example": [
        "tests/methods/families/nearest_example_test.py",
        *_METRIC,
        _kinds("matching or siamese"),
    ],
    "methods/families/recompute": ["tests/methods/families/recompute_test.py", *_METHODS],
    "methods/families/running_averages": [
        "tests/learners/batch_norm_test.py",
        "tests/methods/metric_based_test.py",
        _kinds("prototypical"),
    ],
}
_TIMES_LONGER = 4  # than the tests of the unchanged module: then a change counts as noticed


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Finds one module, with other contents."""

    def __init__(self, path: Path, source: str):
        self._path, self._source = path, source
        self._name = ".".join(path.relative_to(_ROOT).with_suffix("").parts)

    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self, origin=str(self._path)) if name == self._name else None

    def get_filename(self, name):
        return str(self._path)

    def get_data(self, path):
        return self._source.encode()


def changes(module: str, seed: int) -> list[dict[str, Any]]:
    """One change of each place of a module: `line`, `before`, `after`, and the module's changed `source`."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    path = _path(module)
    source = path.read_text()
    annotations = [
        annotation
        for node in ast.walk(ast.parse(source))
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if annotation is not None
    ]

    def annotates(start):
        return any((it.lineno, it.col_offset) <= start < (it.end_lineno, it.end_col_offset) for it in annotations)

    places = {}
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments():
            continue
        positions = [
            position for node in ast_nodes(get_ast_from_path(path)) for position in kind().mutation_positions(node)
        ]
        for occurrence, (start, end) in enumerate(positions):
            if not annotates(start):
                places.setdefault((start, end, kind.__name__.split("_")[0]), []).append((name, occurrence))
    draw, found = random.Random(f"{seed} {module}"), []
    for _, variants in sorted(places.items()):
        name, occurrence = draw.choice(variants)
        changed = mutate_code(source, get_operator(name)(), occurrence)
        if changed is None or changed == source:
            continue
        lines = source.splitlines(), changed.splitlines()
        at = next(number for number, (one, other) in enumerate(zip(*lines, strict=False)) if one != other)
        before, after = (of[at].strip() for of in lines)
        found.append(
            {"line": at + 1, "before": before, "after": after, "operator": name.split("/")[1], "source": changed}
        )
    return found


def _path(module):
    return _ROOT / "ml_lstm" / f"{module}.py"


class _Lines:
    """A plugin of pytest that records which tests execute each line of a file."""

    def __init__(self, path: Path):
        import coverage

        self._path, self._run = str(path), 0
        self._coverage = coverage.Coverage(data_file=None, config_file=False, include=[self._path])
        self._coverage.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        # What a fixture leaves may be of use to all tests of the file.
        self._coverage.switch_context(f"{self._run} {item.nodeid.partition('::')[0]}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item):
        self._coverage.switch_context(f"{self._run} {item.nodeid.partition('[')[0]}")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self):
        self._coverage.switch_context("")

    def pytest_unconfigure(self):
        self._run += 1

    def by_line(self) -> dict[int, list[str]]:
        """Files and tests by line, each after the number of its run; "" is code outside tests."""
        self._coverage.stop()
        return self._coverage.get_data().contexts_by_lineno(self._path)


def _that_run(module: str, executed: list[str]) -> list[str]:
    """The arguments of pytest for the module's tests that execute a line, see `_Lines.by_line`."""
    if not executed or "" in executed:
        return TESTS[module]
    chosen = []
    for number, (file, *options) in enumerate(map(shlex.split, TESTS[module])):
        tests = [test for run, test in (it.split(" ") for it in executed if it) if int(run) == number]
        if tests:
            chosen.append(shlex.join([*([file] if file in tests else tests), *options]))
    return chosen


def _test(module: str, source: str, tests: list[str], seconds: float | None, lines: Path | None) -> tuple[str, float]:
    """Runs tests with the module changed: "survived", "noticed" or "too long", and seconds.

    Args:
        lines: file for the tests that execute each line, or None.
    """
    start = time.monotonic()
    child = os.fork()
    if not child:
        _be_tested(module, source, tests, lines)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        taken = time.monotonic() - start
        if ended:
            return ("noticed" if status else "survived"), taken
        if seconds and taken > seconds:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "too long", taken
        time.sleep(0.1)


def _base(module: str) -> tuple[dict[str, list[str]], float]:
    """Of the unchanged module: the tests that execute each line, see `_Lines.by_line`, and the seconds of all."""
    with tempfile.NamedTemporaryFile() as file:
        lines = Path(file.name)
        ended, seconds = _test(module, _path(module).read_text(), TESTS[module], None, lines)
        assert ended == "survived", f"the tests of {module} fail without a change: pytest {' '.join(TESTS[module])}"
        return json.loads(lines.read_text()), seconds


def _be_tested(module, source, tests, lines) -> NoReturn:
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    os.chdir(_ROOT)
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, _Changed(_path(module), source))
    # AutoGraph would convert the source in the file, which has not changed.
    from tensorflow.python.autograph.core import config

    config.CONVERSION_RULES = (config.DoNotConvert("ml_lstm"), *config.CONVERSION_RULES)
    plugins = [_Lines(_path(module))] if lines else []
    options = ["-x", "-p", "no:cacheprovider", "-m", "not slow and not nightly"]
    runs = (pytest.main([*options, *shlex.split(arguments)], plugins) for arguments in tests)
    code = next((code for code in runs if code), 0)
    if lines:
        lines.write_text(json.dumps(plugins[0].by_line()))
    os._exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--modules", default=",".join(TESTS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    sys.path.insert(0, str(_ROOT))
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the package does, unless TensorFlow is there first
    import hypothesis  # noqa: F401
    import keras  # noqa: F401 - and TensorFlow, once for all forks

    results = json.loads(flags.json.read_text()) if flags.json.exists() else {}
    for module in flags.modules.split(","):
        of_module = results.setdefault(module, {"changes": []})
        known = {(it["line"], it["after"]) for it in of_module["changes"]}
        left = [it for it in changes(module, flags.seed) if (it["line"], it["after"]) not in known]
        executed, seconds = _base(module) if left else ({}, 0.0)

        def tested(change, module=module, executed=executed, limit=_TIMES_LONGER * seconds + 60):
            tests = _that_run(module, executed.get(str(change["line"]), []))
            change["ended"], change["seconds"] = _test(module, change.pop("source"), tests, limit, None)
            return change

        with ThreadPoolExecutor(flags.processes) as pool:
            for change in pool.map(tested, left):
                of_module["changes"].append(change)
                flags.json.write_text(json.dumps(results, indent=1) + "\n")
                print(module, *(change[name] for name in ("line", "ended", "seconds", "after")), flush=True)
        survived = sum(it["ended"] == "survived" for it in of_module["changes"])
        print(f"{module}: {survived} of {len(of_module['changes'])} changes survived", flush=True)


if __name__ == "__main__":
    main()
