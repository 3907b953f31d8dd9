"""Effects of kills, full disks and second trainers on a run, an export and a server: python -m benchmarks.kills"""

import os

# With gRPC in the same process, its handlers would crash some of the forks that `preexec_fn` causes.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
