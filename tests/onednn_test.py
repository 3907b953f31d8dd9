"""oneDNN is on unless the environment says otherwise, and where that came too late it is said."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="on x86 processors only")

_IS_ON = "from tensorflow.python.util import _pywrap_util_port; print(_pywrap_util_port.IsMklEnabled())"
# As on a processor where TensorFlow leaves it off by itself.
_LATE_AND_OFF = "import os; import tensorflow; del os.environ['TF_ENABLE_ONEDNN_OPTS']; import ml_lstm"


@pytest.mark.parametrize(
    ("given", "imports", "is_on", "warns"),
    [
        (None, "import ml_lstm, tensorflow", True, False),
        ("0", "import ml_lstm, tensorflow", False, False),
        ("1", "import tensorflow, ml_lstm", True, False),
        ("0", "import tensorflow, ml_lstm", False, False),
        ("0", _LATE_AND_OFF, False, True),
    ],
)
def test_it_is_decided_before_tensorflow_loads(given, imports, is_on, warns):
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    command = [sys.executable, "-c", f"{imports}; {_IS_ON}"]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert process.stdout == f"{is_on}\n"
    lines = [line for line in process.stderr.splitlines() if "TensorFlow was imported before ml_lstm" in line]
    assert len(lines) == warns
