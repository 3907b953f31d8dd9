"""Benchmarks of speed and memory: each module is a command, see docs/performance.md."""

import ml_lstm  # noqa: F401 before TensorFlow, as it sets how TensorFlow starts
