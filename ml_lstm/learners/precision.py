"""The precision of the computations in a learner's blocks."""

import tensorflow as tf


def block_policy(mixed_precision: bool) -> str:
    """The name of the Keras dtype policy of a learner's blocks.

    Args:
        mixed_precision: whether they compute in bfloat16.

    Raises:
        ValueError: for bfloat16 if TensorFlow cannot run it.
    """
    if not mixed_precision:
        return "float32"
    _require_bfloat16()
    return "mixed_bfloat16"


def _require_bfloat16():
    """Tries one: TensorFlow asks the processor, and is wrong if oneDNN is limited to older instructions."""
    try:
        with tf.init_scope():
            one = tf.ones([1, 1, 1, 1], tf.bfloat16)
            tf.nn.conv2d(one, one, 1, "VALID")
    except tf.errors.AbortedError:
        raise ValueError(
            "mixed_precision: oneDNN has no bfloat16 with the instructions that ONEDNN_MAX_CPU_ISA allows: unset "
            "ONEDNN_MAX_CPU_ISA, or leave mixed_precision out."
        ) from None
