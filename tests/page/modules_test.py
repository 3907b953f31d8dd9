"""The page's modules that need no browser, by Node's own test runner; and what all of them weigh."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ml_lstm.serving.server

PAGE = Path(ml_lstm.serving.server.__file__).with_name("page")


def test_modules_without_a_browser():
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node 20 or later is not installed: apt-get install nodejs, or from nodejs.org")
    result = subprocess.run(
        [node, "--test", str(Path(__file__).parent)],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_page_is_light_and_its_modules_small():
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < 150_000
    lines = {path.name: len(path.read_text().splitlines()) for path in PAGE.glob("*.mjs")}
    assert len(lines) > 10
    assert not {name: count for name, count in lines.items() if count > 300}


def test_nothing_comes_from_elsewhere_and_nothing_is_inline():
    index = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)
    for path in PAGE.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import", text), path.name
        assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval)\b", text), path.name
