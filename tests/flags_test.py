"""What the flags say of a run."""

import json
import subprocess
import sys
from pathlib import Path

RUN_FLAGS = """
import json, sys
from absl import flags as absl_flags
from ml_lstm import flags, runs
flags.define_data_flags(); flags.define_method_flags(); flags.define_training_flags()
images = {"image_shape": (16, 16, 1), "image_mean": 0.0, "image_std": 1.0}
for cell in json.loads(sys.argv[1]):
    absl_flags.FLAGS(["test", "--run_dir=unused", f"--cell={cell}", "--cell_learning_rate=0.5", "--filters=2",
                      "--gate_feedback=logit", "--input_gate_bias=-3,-2", "--forget_gate_bias=1,2"])
    values = flags.run_flags()
    print(json.dumps([cell, values["hidden_units"], runs.build_method(values, images).cell.get_config()]))
"""

GATES = {"input_gate_bias": [-3.0, -2.0], "forget_gate_bias": [1.0, 2.0]}
RATE = {"initial_learning_rate": 0.5}
EXPECTED = {
    "meta_lstm": (20, {"gate_feedback": "logit", **GATES}),
    "complete_lstm": (20, GATES),
    "gru": (20, {"update_gate_bias": [-3.0, -2.0], "reset_gate_bias": [1.0, 2.0]}),
    "sgd": (0, RATE),
    "meta_sgd": (0, RATE),
    "turtle": (0, {"layer_units": [20, 20], **RATE}),
}


def test_each_cell_takes_the_flags_that_concern_it_and_its_own_width_of_the_lstm():
    result = subprocess.run(
        [sys.executable, "-c", RUN_FLAGS, json.dumps(list(EXPECTED))],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    built = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("[")]
    general = {"name", "trainable", "dtype"}
    own = {
        cell: (units, {name: value for name, value in config.items() if name not in general})
        for cell, units, config in built
    }
    assert own == EXPECTED
