"""What TensorFlow computes on, and with how many threads."""

import os
import platform

import tensorflow as tf


def use_threads(intra_op: int, inter_op: int) -> None:
    """Sets TensorFlow's thread pools; goes before the first operation.

    Args:
        intra_op: threads that share one operation; 0 for TensorFlow's choice. With 28x28 images operations are
            too small to share: one thread each, the episodes of a meta-batch side by side, is faster.
        inter_op: operations at the same time; 0 for TensorFlow's choice.
    """
    tf.config.threading.set_intra_op_parallelism_threads(intra_op)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op)


def describe() -> str:
    """The accelerators that TensorFlow sees or, failing those, the processor and its number of cores."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return ", ".join(gpus) or f"{platform.processor() or platform.machine()} CPU, {os.cpu_count()} cores"
