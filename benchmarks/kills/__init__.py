"""What a kill, a full disk or a second trainer does to a run, an export and a server: python -m benchmarks.kills"""

import os

# Where gRPC runs beside them, its handlers would crash some of the forks that `preexec_fn` makes.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
