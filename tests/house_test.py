"""Arrows between the packages point down only, and what must start without methods does."""

import ast
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import ml_lstm

_PACKAGE = Path(ml_lstm.__file__).parent

# From top to bottom: whoever is in a line may import from that line, without going round in circles, and from the lines
# below. A module that stands for itself is named in full.
_FLOORS = (
    ("__main__",),
    ("train", "evaluate", "export", "adapt", "serve", "compare", "gates", "data.__main__", "zoo.add", "zoo.figures"),
    ("zoo",),
    ("runs",),
    ("serving", "evaluation"),
    ("methods",),
    ("training",),
    ("distribution",),
    ("plots", "cells", "learners", "data"),
    ("command_line", "options", "episode", "paths", "errors", "folders", "keras_private", "photographs", "whole_files"),
)

# Arrows that point down and yet must not be.
_FORBIDDEN = {("methods", "data"), ("methods", "plots"), ("learners", "data"), ("cells", "data"), ("data", "learners")}

# Arrows that are gone along only when they are asked for: `adapt --model` builds a method, `adapt --saved_model` none,
# and `serve --model` has one exported.
_WHEN_ASKED_FOR = {("adapt", "zoo"), ("serve", "zoo")}

# What reads exports, on a machine that may do nothing else.
_READERS = ("ml_lstm.adapt", "ml_lstm.serve", "ml_lstm.serving.server", "ml_lstm.serving.exported")
_NOT_FOR_READERS = ("methods", "data", "training", "runs", "learners", "cells", "evaluation", "distribution", "zoo")


class _Tree:
    """The modules of a package, by name without the package's, and what each imports of the others."""

    def __init__(self, root):
        paths = {path.relative_to(root).with_suffix(""): path for path in root.rglob("*.py")}
        names = {".".join(path.parts).removesuffix("__init__").rstrip("."): file for path, file in paths.items()}
        self._root, self._modules = root.name, names
        self.imports = {name: sorted(self._imports(file)) for name, file in names.items() if name}

    def _imports(self, file):
        """Also those inside functions."""
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (found for alias in node.names if (found := self._module(alias.name)))
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file}:{node.lineno}: write the import in full"
                for alias in node.names:
                    found = self._module(f"{node.module}.{alias.name}") or self._module(node.module)
                    yield from [found] if found else ()

    def _module(self, name):
        """Name of a module of the package without the package's; None of what is not in it, or is no module."""
        package, _, rest = name.partition(".")
        return rest if package == self._root and rest in self._modules else None

    def reached_from(self, start):
        """All modules that are loaded with one, it and the packages that it is in included."""
        reached, waiting = set(), [start]
        while waiting:
            name = waiting.pop()
            if name and name not in reached:
                reached.add(name)
                taken = [other for other in self.imports[name] if (name, other) not in _WHEN_ASKED_FOR]
                waiting += [*taken, name.rpartition(".")[0]]
        return reached


def _home(module):
    """The package or the module of `_FLOORS` that a module belongs to, and its floor, 0 at the top."""
    named = {name: floor for floor, names in enumerate(_FLOORS) for name in names}
    home = module if module in named else module.partition(".")[0]
    assert home in named, f"ml_lstm/{module} has no floor: say in tests/house_test.py where it belongs"
    return home, named[home]


def _faults(root):
    """A sentence for each arrow that points up, is forbidden, or closes a circle."""
    faults, arrows = [], {}
    for module, imported in _Tree(root).imports.items():
        home, floor = _home(module)
        for other in imported:
            target, below = _home(other)
            if target == home:
                continue
            if floor > below or (home, target) in _FORBIDDEN:
                faults.append(f"{module} imports {other}: {home} may not import {target}")
            arrows.setdefault(home, {}).setdefault(target, f"{module} imports {other}")
    circles = {}
    for home, targets in sorted(arrows.items()):
        for target in sorted(targets):
            if circle := _way(arrows, target, home):
                circles.setdefault(frozenset(circle), "circle: " + ", and ".join(_words(arrows, [home, *circle])))
    return faults + list(circles.values())


def _way(arrows, start, end):
    """The homes on a shortest way along arrows, both ends included; None if there is none."""
    ways = [[start]]
    for way in ways:
        if way[-1] == end:
            return way
        seen = {home for other in ways for home in other}
        ways += [[*way, home] for home in sorted(arrows.get(way[-1], {})) if home not in seen]
    return None


def _words(arrows, way):
    return [arrows[home][target] for home, target in pairwise(way)]


def test_arrows_point_down():
    assert not _faults(_PACKAGE), "\n".join(_faults(_PACKAGE))


_WRONG = {
    "an arrow up": (
        {"training/loop.py": "from ml_lstm.methods import MAML", "methods/__init__.py": "MAML = None"},
        ["training.loop imports methods: training may not import methods"],
    ),
    "inside a function": (
        {"data/load.py": "def load():\n    import ml_lstm.runs.building", "runs/building.py": ""},
        ["data.load imports runs.building: data may not import runs"],
    ),
    "from the package itself": (
        {"distribution/base.py": "from ml_lstm import training", "training/__init__.py": ""},
        ["distribution.base imports training: distribution may not import training"],
    ),
    "a method that knows a data source": (
        {"methods/maml.py": "from ml_lstm.data import glyphs", "data/__init__.py": "", "data/glyphs.py": ""},
        ["methods.maml imports data.glyphs: methods may not import data"],
    ),
    "a circle on one floor": (
        {"cells/gru.py": "from ml_lstm.plots import gates", "plots/gates.py": "import ml_lstm.cells.gru"},
        ["circle: cells.gru imports plots.gates, and plots.gates imports cells.gru"],
    ),
    "a circle of three": (
        {
            "cells/gru.py": "import ml_lstm.plots.gates",
            "plots/gates.py": "import ml_lstm.learners.conv4",
            "learners/conv4.py": "import ml_lstm.cells.gru",
        },
        [
            "circle: cells.gru imports plots.gates, and plots.gates imports learners.conv4, and learners.conv4 imports "
            "cells.gru"
        ],
    ),
    "nothing": (
        {
            "data/__main__.py": "from ml_lstm import runs",
            "runs/__init__.py": "import ml_lstm.data.load",
            "data/load.py": "",
        },
        [],
    ),
}


@pytest.mark.parametrize("name", _WRONG)
def test_a_wrong_arrow_is_found_and_named(name, tmp_path):
    files, faults = _WRONG[name]
    root = tmp_path / "ml_lstm"
    for file, code in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(code)
    assert _faults(root) == faults


def test_a_module_without_a_floor_is_named(tmp_path):
    (tmp_path / "ml_lstm").mkdir()
    (tmp_path / "ml_lstm/utils.py").write_text("")
    with pytest.raises(AssertionError, match="ml_lstm/utils has no floor"):
        _faults(tmp_path / "ml_lstm")


def _readers(tree):
    return [name for name in tree.imports if f"ml_lstm.{name}".startswith(_READERS)]


def test_what_reads_exports_imports_no_method_data_or_training():
    tree = _Tree(_PACKAGE)
    readers = _readers(tree)
    assert {"adapt", "serve", "serving.server.run", "serving.exported"} <= set(readers)
    for reader in readers:
        wrong = [name for name in tree.reached_from(reader) if name.partition(".")[0] in _NOT_FOR_READERS]
        assert not wrong, f"{reader} loads {wrong}"


def _loaded(code):
    """Modules of the package after a program, in a process of its own."""
    code += "\nimport json, sys; print(json.dumps([name for name in sys.modules if name.startswith('ml_lstm.')]))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=_PACKAGE.parent, capture_output=True, text=True, timeout=3000, check=True
    )
    return json.loads(result.stdout.splitlines()[-1])


def test_what_reads_exports_loads_no_method_data_or_training():
    loaded = _loaded("\n".join(f"import ml_lstm.{name}" for name in _readers(_Tree(_PACKAGE))))
    assert "ml_lstm.serving.server.run" in loaded
    assert not [name for name in loaded if name.split(".")[1] in _NOT_FOR_READERS]


def test_the_package_lists_its_packages_and_gives_them_without_an_import():
    packages = {path.parent.name for path in _PACKAGE.glob("*/__init__.py")}
    assert packages == set(ml_lstm.__all__) <= set(dir(ml_lstm))
    loaded = _loaded(
        "import sys, ml_lstm\nassert 'tensorflow' not in sys.modules\n"
        "ml_lstm.serving.export_version, ml_lstm.serving.MAX_PIXELS\n"
        "ml_lstm.plots.episode_sheet.episode_sheet, ml_lstm.plots.contact_sheet.contact_sheet\n"
        + "\n".join(f"ml_lstm.{name}" for name in ml_lstm.__all__)
    )
    assert {f"ml_lstm.{name}" for name in packages} <= set(loaded)


def test_who_cites_the_package_names_its_version():
    assert f"\nversion: {ml_lstm.__version__}\n" in (_PACKAGE.parent / "CITATION.cff").read_text()


def test_types_are_shipped():
    assert (_PACKAGE / "py.typed").exists()
    assert "ml_lstm = py.typed" in (_PACKAGE.parent / "setup.cfg").read_text()
