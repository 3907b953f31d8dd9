"""Selects TensorFlow's devices and numbers of threads."""

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tensorflow as tf
from absl import flags
from tensorflow.python.util import _pywrap_util_port

from ml_lstm import options
from ml_lstm.errors import UserError
from ml_lstm.options import FREE, Rule, Whole, checked

# Environment variables that restrict libraries to older instructions than the processor has.
_BOUNDS = ("ONEDNN_MAX_CPU_ISA", "XLA_FLAGS", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")


def _are_devices(names) -> bool:
    kinds = {re.fullmatch(r"(cpu|gpu)(:[0-9]{1,3})?", name) for name in names}
    numbered = [name if ":" in name else f"{name}:0" for name in names]
    return None not in kinds and len({kind[1] for kind in kinds}) <= 1 and len(set(numbered)) == len(numbered)


class Work(NamedTuple):
    """The workload, from which numbers of threads follow.

    Attributes:
        image_size: height and width of images, pixels.
        images: number of images that most operations process.
        side_by_side: episodes or requests computed at the same time.
    """

    image_size: int
    images: int = 1
    side_by_side: int = 1

    def threads(self) -> int:
        """Number of threads per operation; 0 means all cores. docs/performance.md has the measurements."""
        if self.side_by_side >= cores():  # each core has its own operation
            return 1 if self.image_size <= 84 else 0
        return 1 if self.images * self.image_size**2 <= 8000 else 0


_Threads = Annotated[Whole, FREE]
_Devices = Annotated[
    Sequence[str], FREE, Rule(_are_devices, "cpu or gpu, or names like gpu:0,gpu:1, of one kind and each once")
]


@checked
def use(
    most: int | None = 1,
    work: Work | None = None,
    *,
    intra_op_threads: _Threads | None = None,
    inter_op_threads: _Threads = 0,
    devices: _Devices = (),
    memory_growth: Annotated[bool, FREE] = False,
) -> list[str]:
    """Sets the devices and threads that TensorFlow may use; call it before the first operation.

    Args:
        most: maximum number of devices that the command can use; None for any number.
        work: the workload, if known.
        intra_op_threads: threads per operation; 0 means TensorFlow's choice, all cores. If unset: one thread for images
            up to 84x84 if at least as many episodes (or requests) are computed at a time as there are cores, and for
            operations on few pixels, for example five 28x28 images; otherwise all cores.
        inter_op_threads: number of operations at the same time; 0 means TensorFlow's choice. If unset: 0, but for
            serve, six for each request that is computed.
        devices: devices to compute on: cpu, gpu, or a name such as gpu:1. train --strategy=mirrored takes several,
            gpu:0,gpu:1, or cpu:0,cpu:1 to try it out. If none is given: all GPUs or, without a GPU, the CPU. cpu:0,
            cpu:1 and so on are logical devices, which share the cores.
        memory_growth: whether GPU memory is allocated as needed instead of all at once.

    Returns:
        The devices, with TensorFlow's names from now on.

    Raises:
        UserError: if a device does not exist, or if there are too many.
    """
    if intra_op_threads is None:
        intra_op_threads = work.threads() if work else 0
    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op_threads)
    if most is not None and len(devices) > most:
        raise UserError(
            f"--devices has {len(devices)} devices, but only one is used: for several, run train --strategy=mirrored."
        )
    gpus = tf.config.list_physical_devices("GPU")
    if devices:
        gpus = _chosen(devices, gpus)
        tf.config.set_visible_devices(gpus, "GPU")
    for gpu in gpus if memory_growth else ():
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        return [f"gpu:{index}" for index in range(len(gpus))]
    count = max(len(devices), 1)
    if count > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return [f"cpu:{index}" for index in range(count)]


def define_flags() -> None:
    """Defines the options of `use` as flags."""
    options.define([("devices", use)])


def use_as_flagged(most: int | None = 1, work: Work | None = None, **unflagged: Any) -> list[str]:
    """Calls `use` with the values of the flags, and with `unflagged` for flags that are not set."""
    given = unflagged | {name: flags.FLAGS[name].value for name in options.of(use) if flags.FLAGS[name].present}
    return use(most, work, **given)


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _chosen(devices, gpus):
    """The GPUs that `devices` names; none if it names the CPU."""
    numbers = sorted(int(name[4:] or 0) for name in devices)
    if devices[0].startswith("cpu"):
        if numbers != list(range(len(numbers))):
            raise UserError(f"--devices={','.join(devices)}: number the logical CPU devices from 0, as in cpu:0,cpu:1.")
        return []
    if list(devices) == ["gpu"] and gpus:
        return gpus
    for number in numbers:
        if number >= len(gpus):
            there = ", ".join(f"gpu:{index}" for index in range(len(gpus))) or "no GPU visible to TensorFlow"
            raise UserError(f"--devices={','.join(devices)}: there is no gpu:{number}; this machine has {there}.")
    return [gpus[number] for number in numbers]


def describe() -> dict[str, Any]:
    """Describes the machine, to be stored with a measurement.

    Returns:
        `processor`, its name; `cores`, the number that this process may use; `instructions`, its vector instructions;
        `held_to`, environment variables that restrict the instructions used; `onednn`, whether TensorFlow's operations
        use it; `intra_op_threads` and `inter_op_threads`, 0 for TensorFlow's choice; `accelerators`, those visible to
        TensorFlow.
    """
    try:
        facts = dict(re.findall(r"^(model name|flags)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
    except OSError:
        facts = {}
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "instructions": sorted(name for name in facts.get("flags", "").split() if name.startswith(("avx", "amx"))),
        "held_to": {name: os.environ[name] for name in _BOUNDS if name in os.environ},
        "onednn": _pywrap_util_port.IsMklEnabled(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "accelerators": [
            tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
            for gpu in tf.config.get_visible_devices("GPU")
        ],
    }


def in_words(device: dict[str, Any]) -> str:
    """The result of `describe`, as one line."""
    held = "".join(f", {name}={value}" for name, value in device["held_to"].items())
    processor = (
        f"{device['processor']}, {device['cores']} cores, {' '.join(device['instructions'])}{held}, "
        f"oneDNN {'on' if device['onednn'] else 'off'}"
    )
    return ", ".join([*device["accelerators"], processor])
