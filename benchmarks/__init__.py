"""How fast it is, and what it costs: each module a command, see docs/performance.md."""

import ml_lstm  # noqa: F401 before TensorFlow, as it says how that is to start
