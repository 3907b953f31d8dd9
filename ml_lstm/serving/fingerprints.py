"""Whether an adaptation comes back to the export that made it, unchanged: a keyed hash that travels with it."""

import secrets

import tensorflow as tf

from ml_lstm.methods.base import Adaptation

# By type: the integers of its size, the smallest magnitude that is kept, as such an integer, and the bits that are not.
# Numbers of 16 bits are written as decimals exactly.
_KEPT = {
    tf.float64: (tf.int64, 1 << 52, 3),
    tf.float32: (tf.int32, 1 << 23, 2),
    tf.bfloat16: (tf.int16, 1 << 7, 0),
    tf.float16: (tf.int16, 1, 0),
}


def settled(values: tf.Tensor) -> tf.Tensor:
    """Values that every way there and back leaves as they are, if it is applied after it too.

    JSON may round the last bit: TensorFlow Serving reads a decimal as a double, off by up to three of its last bits,
    and rounds it again. So floats lose their last bits, two of float32 and three of float64, to the nearest that
    has zeros there. It may also drop the sign of zero, as JavaScript does, and processors take denormals for zero.

    Args:
        values: of any type; others than floats stay as they are.
    """
    if values.dtype not in _KEPT:
        return values
    integers, smallest, dropped = _KEPT[values.dtype]
    bits = tf.bitcast(values, integers)
    if dropped:
        bits = tf.bitwise.bitwise_and(bits + (1 << (dropped - 1)), tf.constant(-(1 << dropped), integers))
    magnitude = tf.bitwise.bitwise_and(bits, tf.constant(integers.max, integers))
    return tf.bitcast(tf.where(magnitude < smallest, tf.zeros([], integers), bits), values.dtype)


class Fingerprint:
    """Fingerprints of one export: its key is random, and a constant of the graph.

    It shows what was changed by mistake, or by somebody who does not have the SavedModel; who has it can read the key.
    """

    def __init__(self):
        self._key = [secrets.randbits(63), secrets.randbits(63)]

    def of(self, adaptation: Adaptation) -> tf.Tensor:
        """String [1], of every bit and name, and of types and shapes: SipHash of the tensors' own SipHashes.

        Args:
            adaptation: tensors by name.
        """
        names = sorted(adaptation)
        parts = [tf.strings.as_string(self._hash(tf.io.serialize_tensor(adaptation[name]))) for name in names]
        return tf.strings.as_string(self._hash(tf.strings.join([*names, *parts], "\0")))[None]

    def _hash(self, contents):
        return tf.strings.to_hash_bucket_strong(contents, tf.int64.max, self._key)
