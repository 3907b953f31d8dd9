"""Measures the cost of an episode as the problem grows, and plots it: python -m benchmarks.scaling --plot=scaling.png

Each point is `benchmarks.meta_step` in a separate process, so its peak memory is that of the point alone:

* setting (b) with more inner steps, more filters (and so more coordinates), or more episodes in a meta-step;
* setting (a) with 8 and with 40 inner steps, meta-gradients of both orders, with and without recomputation.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags, logging

from benchmarks.timing import measured_apart
from ml_lstm.command_line import command, records

FLAGS = flags.FLAGS

# The quantity that grows, and the flags of `benchmarks.meta_step` at each point.
SWEEPS = {
    "inner_steps": [["--setting=b", "--intra_op_threads=1", f"--inner_steps={steps}"] for steps in (5, 10, 20, 40)],
    "coordinates": [["--setting=b", "--intra_op_threads=1", f"--filters={filters}"] for filters in (16, 32, 64, 96)],
    "meta_batch_size": [["--setting=b", "--intra_op_threads=1", f"--meta_batch_size={size}"] for size in (1, 2, 4, 8)],
    "memory": [
        ["--setting=a", f"--inner_steps={steps}", *order, *recompute]
        for order in ([], ["--second_order"])
        for steps in (8, 40)
        for recompute in ([], ["--recompute_inner_steps"])
    ],
}


def size_of(sweep: str, point: Mapping[str, Any]) -> int:
    """The position of a point on the horizontal axis."""
    return point[sweep] if sweep in point else point["episode"][sweep]


def draw(sweeps: Mapping[str, Sequence[Mapping[str, Any]]], path: str) -> None:
    """Plots seconds per meta-step, and peak memory, over the quantity that grows.

    Args:
        sweeps: points, by the quantity that grows.
        path: of the plot; its suffix determines the format.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(2, len(sweeps), figsize=(4 * len(sweeps), 6), squeeze=False, sharex="col")
    for (seconds, memory), (sweep, points) in zip(zip(*rows, strict=True), sweeps.items(), strict=True):
        sizes = [size_of(sweep, point) for point in points]
        seconds.plot(sizes, [point["seconds_per_episode"] * point["meta_batch_size"] for point in points], "o-")
        memory.plot(sizes, [point["peak_resident_bytes_above_start"] / 2**20 for point in points], "o-")
        memory.set_xlabel(sweep.replace("_", " "))
        for axes in (seconds, memory):
            axes.set_xlim(left=0)
            axes.set_ylim(bottom=0)
    rows[0][0].set_ylabel("seconds a meta-step")
    rows[1][0].set_ylabel("peak memory above the start, MiB")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


_HEAD = "{:52} {:>12} {:>12} {:>12}".format("", "coordinates", "s/meta-step", "memory, MiB")


def row(point: Mapping[str, Any]) -> str:
    """The row of a point in the table."""
    episode = point["episode"]
    title = (
        f"({point['setting']}) {episode['inner_steps']} steps, {episode['filters']} filters, "
        f"meta-batch {point['meta_batch_size']}"
    )
    title += ", second order" * episode["second_order"] + ", recomputed" * episode["recompute_inner_steps"]
    took = point["seconds_per_episode"] * point["meta_batch_size"]
    memory = point["peak_resident_bytes_above_start"] / 2**20
    return f"{title:52} {point['coordinates']:12,} {took:12.3f} {memory:12,.0f}"


def main() -> None:
    """Measures `--sweeps`, prints a table, draws `--plot` and writes the same to `--json`."""
    print(_HEAD)
    found = {}
    for sweep in FLAGS.sweeps:
        found[sweep] = []
        for arguments in SWEEPS[sweep]:
            found[sweep].append(measured_apart("benchmarks.meta_step", [*arguments, f"--repeats={FLAGS.repeats}"]))
            print(row(found[sweep][-1]), flush=True)
    if FLAGS.json:  # before the plot, so that a wrong --plot does not lose minutes of measurements
        records.write_json(Path(FLAGS.json), found)
    if FLAGS.plot:
        draw({sweep: points for sweep, points in found.items() if sweep != "memory"}, FLAGS.plot)


if __name__ == "__main__":
    flags.DEFINE_multi_enum("sweeps", list(SWEEPS), list(SWEEPS), "The quantities to grow.")
    flags.DEFINE_integer("repeats", 5, "Number of timed meta-steps at each point.", lower_bound=1)
    flags.DEFINE_string("plot", None, "Plot to draw, .png or .svg.")
    flags.DEFINE_string("json", None, "File to write the results to.")
    logging.set_verbosity(logging.WARNING)
    command.run(main)
