"""What a study gives to `train` is what that takes, at each scale: hours of others' time hang on it."""

import json
import subprocess
import sys

from studies import page
from studies.harness import SCALES, left

# In forks of a process that has imported TensorFlow, as flags are parsed but once.
_PARSED = """
import json, os, sys
from absl import flags
from ml_lstm import train
from ml_lstm.command_line import flag_files
from ml_lstm.runs import settings
train.define_flags()
for name, words in json.load(sys.stdin):
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            flags.FLAGS(flag_files.with_contents(["train", *words]))
            settings.from_flags(["train", *words])
        except flags.Error as error:
            print(f"REFUSED {name}: {error}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
print("DONE")
"""


def test_train_takes_the_flags_of_each_training(tmp_path):
    commands = [
        (f"{name}, {scale}, {steps[0].log.stem}", steps[0].command[3:])
        for name in page.names()
        for scale in SCALES
        for steps in left(page.study(name).trainings(scale), tmp_path, "DATA")
        if steps[0].command[2] == "ml_lstm.train"
    ]
    result = subprocess.run(
        [sys.executable, "-c", _PARSED], input=json.dumps(commands), capture_output=True, text=True, timeout=3600
    )
    lines = result.stdout.splitlines()
    assert lines[-1:] == ["DONE"], result.stderr
    assert not [line for line in lines if line.startswith("REFUSED")]
