"""The comparison of kernels runs."""

import pytest

from benchmarks.meta_step import Setting

pytest.importorskip("torch", reason="the benchmarks' PyTorch is not installed: make .venv/bench")
from benchmarks import kernels


def test_measures_each_kernel_of_each_layer():
    tiny = Setting((16, 16, 1), n_way=2, k_shot=1, n_query=1, inner_steps=2, inner_batch_size=2, filters=16)
    results = kernels.measure(tiny, repeats=1)
    found = [(row["layer"], row["kernel"]) for row in results["rows"]]
    each = ["convolution", "batch norm", "max-pooling", "ReLU"]
    assert found == [
        (layer, kernel) for layer in range(1, 5) for kernel in each + ["convolution + batch norm"] * (layer == 1)
    ]
    _, *lines = kernels.table(results).splitlines()
    assert len(lines) == len(results["rows"])
    # 2 images, 9 weights a place, there and back to the kernel; from the second layer on to the images as well.
    counted = {row["layer"]: row["multiply_adds"] for row in results["rows"] if row["kernel"] == "convolution"}
    assert counted == {1: 2 * 2 * 256 * 9 * 16, **{n: 3 * 2 * 4 ** (5 - n) * 9 * 16 * 16 for n in (2, 3, 4)}}
