"""`ml-lstm COMMAND` is `python -m ml_lstm.COMMAND`, and says in no time which commands there are."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ml_lstm
from benchmarks.kills.commands import own_lines
from ml_lstm import __main__ as entry
from tests import forks

REPOSITORY = Path(__file__).parents[1]

# As pip writes it.
SCRIPT = """
import re
import sys
from ml_lstm.__main__ import main
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit(main())
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("bin") / "ml-lstm"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def started(script, tmp_path):
    """`started(*program)`: how it ends in a directory that is no checkout; a program is a file or `-m`, its words."""

    def run(*program, package=REPOSITORY, **variables):
        environment = os.environ | {"PYTHONPATH": str(package)} | variables
        words = [sys.executable, *map(str, program)]
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=3600)

    return run


SAME = [
    ["data"],
    ["data", "--dataset=glyphs", "--n_way=2"],
    ["train", "--help"],
    ["train", "--episode=10"],
    ["evaluate", "--run_dir=nowhere"],
    ["compare", "nowhere", "--png=x.png"],
    ["gates", "--run_dir=nowhere", "--png=x.png"],
    ["train", "--learner=own_networks:build", "--run_dir=run"],  # from the working directory
    ["studies", "few_classes", "--out=out", "--list"],
]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """For each of SAME how its module ends and how `ml-lstm` does: `(status, stdout, stderr)`."""
    here = tmp_path_factory.mktemp("here")
    (here / "own_networks.py").write_text("def build(image_shape, n_way):\n    return 'no network'\n")
    pairs = []
    for name, *rest in SAME:
        module, words = (f"studies.{rest[0]}", rest[1:]) if name == "studies" else (f"ml_lstm.{name}", rest)
        by_module = forks.run(module, *words, cwd=here)
        # As the entry point's script does, which has its own directory on the path.
        by_name = forks.run("ml_lstm.__main__", name, *rest, cwd=here, function="main", path="/usr/bin")
        pairs.append([(one.returncode, one.stdout, one.stderr) for one in (by_module, by_name)])
    return pairs


@pytest.mark.parametrize("index", range(len(SAME)), ids=[" ".join(words) for words in SAME])
def test_a_command_says_and_ends_as_its_module_does(index, ended):
    by_module, by_name = (
        (status, re.sub(r"in \d+\.\d s", "", stdout), own_lines(stderr)) for status, stdout, stderr in ended[index]
    )
    assert by_name == by_module
    _, stdout, lines = by_name
    assert len(lines) == (0 if stdout else 1)
    assert "ml-lstm" not in str(lines)


def test_a_network_of_ones_own_is_found_in_the_working_directory(ended):
    (said,) = (ended[index][1][2] for index, words in enumerate(SAME) if "--learner" in str(words))
    assert "must return a keras.Model, not str" in said


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = sys.modules["absl"] = sys.modules["numpy"] = None
"""


@pytest.fixture
def quick(script, started, tmp_path):
    """`quick(*words)`: how `ml-lstm` ends where nothing that takes long can be imported."""
    path = tmp_path / "quick.py"
    path.write_text(WITHOUT_TENSORFLOW + SCRIPT)
    return lambda *words, **more: started(path, *words, **more)


def test_the_version_costs_no_import(quick):
    result = quick("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"ml_lstm {ml_lstm.__version__}\n", "")


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_names_every_command_and_costs_no_import(word, quick):
    result = quick(word)
    assert (result.returncode, result.stderr) == (0, "")
    for name in entry._COMMANDS:
        assert re.search(rf"^  {name} +\w", result.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "give a command, one of train, evaluate, export, adapt, serve, compare, gates, data, studies. .*--help"),
        (["trian"], "there is no command 'trian'. Did you mean train?"),
        (["xyz"], "there is no command 'xyz'. There are train, evaluate"),
        (["--run_dir=run"], "there is no command '--run_dir=run'. There are "),
        (["studies"], "give the name of a study. There are .*few_classes"),
        (["studies", "few_clases"], "there is no study 'few_clases'. Did you mean few_classes"),
        (["studies", "harness"], "there is no study 'harness'. "),
    ],
)
def test_what_names_no_command_is_refused_in_one_line_at_no_cost(words, line, quick):
    result = quick(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(f"ml-lstm: {line}.*\n", result.stderr), result.stderr


def test_every_command_is_a_module():
    for name in entry._COMMANDS.keys() - {"studies"}:
        package = REPOSITORY / "ml_lstm"
        assert (package / f"{name}.py").exists() or (package / name / "__main__.py").exists()


def test_every_module_that_is_a_command_has_its_name_here():
    for file in (REPOSITORY / "ml_lstm").glob("*.py"):
        if 'if __name__ == "__main__":' in file.read_text() and file.stem != "__main__":
            assert file.stem in entry._COMMANDS


def test_where_there_is_no_checkout_it_says_where_the_studies_are(quick, tmp_path):
    installed = tmp_path / "site-packages"
    (installed / "studies").mkdir(parents=True)  # somebody else's
    for name in ("__init__.py", "__main__.py"):
        (installed / "ml_lstm").mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / "ml_lstm" / name, installed / "ml_lstm" / name)
    result = quick("studies", "few_classes", package=installed)
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        result.stderr
        == "ml-lstm: the studies are in the checkout of ml_lstm, not in the package: run the command in a checkout.\n"
    )


def test_the_package_runs_as_its_script_does(started):
    result = started("-m", "ml_lstm", "--version")
    assert (result.returncode, result.stdout) == (0, f"ml_lstm {ml_lstm.__version__}\n")
