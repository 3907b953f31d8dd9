"""The snippets of README and docs/start.md run as they stand, and every flag file in configs/ describes a method."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ml_lstm.methods import METHODS

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.flags"))

BUILD = """
import sys
from absl import flags
from ml_lstm.command_line import flag_files
from ml_lstm.data import SOURCES
from ml_lstm.episode import Problem
from ml_lstm.runs import settings
settings.define_flags()
for path in sys.argv[1:]:
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    argv = ["test", f"--flagfile={path}"]
    flags.FLAGS(flag_files.with_contents(argv))
    values = settings.from_flags(argv)
    shape = (values["image_size"], values["image_size"], SOURCES[values["dataset"]].channels)
    method = settings.build_method(values, Problem(shape, max(values["n_way"], values["train_n_way"]), 10))
    learner = getattr(method, "learner", method)
    print(path, learner.count_params() - sum(v.numpy().size for v in learner.non_trainable_variables))
"""


# The base file of the LSTM meta-learner, which other update rules share.
_SHARED = re.compile(r"Ignored, as nothing that was chosen takes them: --hidden_units, --input_gate_bias\.")


def snippet(page):
    """The one piece of Python on a page."""
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return found


def test_the_first_snippet_runs_as_it_stands_and_learns():
    code = snippet("README.md")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=2400)
    assert result.returncode == 0, result.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 120  # a minute of two cores
    right = re.search(r"^(\d+)% right$", result.stdout, re.MULTILINE)
    assert int(right[1]) > 50


def test_the_snippet_for_serving_writes_images_to_ask_about(tmp_path):
    subprocess.run([sys.executable, "-c", snippet("docs/start.md")], check=True, cwd=tmp_path, timeout=2400)
    written = sorted(str(path.relative_to(tmp_path / "pictures")) for path in tmp_path.rglob("*.png"))
    queries, support = (
        [f"{name}{k}{end}" for k in range(5)]
        for name, end in (("query/of class ", ".png"), ("support/class ", "/0.png"))
    )
    assert written == queries + support


def test_the_number_of_methods_is_that_of_the_names():
    assert "\nNineteen methods behind one interface" in (ROOT / "README.md").read_text()
    assert len(METHODS) == 19


def test_every_flag_file_describes_a_method():
    assert len(CONFIGS) >= 8
    paths = [str(path.relative_to(ROOT)) for path in CONFIGS]
    result = subprocess.run(
        [sys.executable, "-c", BUILD, *paths], cwd=ROOT, capture_output=True, text=True, timeout=2400
    )
    assert result.returncode == 0, result.stderr
    strays = [line for line in result.stdout.splitlines() if line.startswith("Ignored")]
    assert all(_SHARED.fullmatch(line) for line in strays), strays
    parameters = dict(line.rsplit(" ", 1) for line in result.stdout.splitlines() if line.startswith("configs/"))
    assert set(parameters) == set(paths)
    for path, count in parameters.items():
        if "mini_imagenet" in path:
            assert count == "32901"


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text()))
def test_what_the_readme_links_to_is_there(link):
    assert (ROOT / link).exists()
