"""Checks with a keyed hash that an adaptation comes from the same export and is unchanged."""

import secrets

import tensorflow as tf

from ml_lstm.methods.base import Adaptation

# By type: the integer type of the same size; the smallest magnitude that is kept, as such an integer; and the number of
# bits dropped. Decimals represent numbers of 16 bits exactly.
_KEPT = {
    tf.float64: (tf.int64, 1 << 52, 3),
    tf.float32: (tf.int32, 1 << 23, 2),
    tf.bfloat16: (tf.int16, 1 << 7, 0),
    tf.float16: (tf.int16, 1, 0),
}


def settled(values: tf.Tensor) -> tf.Tensor:
    """Rounds values so that a round trip through any client keeps them, if this function is applied to the result too.

    JSON may change the last bits: TensorFlow Serving reads a decimal as a double, with an error of up to three of its
    last bits, and rounds it again. So floats are rounded to numbers whose last bits are zero, two bits of float32 and
    three of float64. JSON may also drop the sign of zero, as JavaScript does, and processors may treat denormals as
    zero.

    Args:
        values: a tensor of any type; only floats change.
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
    """Fingerprints of one export, with a random key that is a constant of the graph.

    They detect changes by mistake, or by somebody without access to the SavedModel. With access, one can read the key.
    """

    def __init__(self):
        self._key = [secrets.randbits(63), secrets.randbits(63)]

    def of(self, adaptation: Adaptation) -> tf.Tensor:
        """The fingerprint, string [1], of all names, types, shapes and bits: SipHash of the tensors' SipHashes.

        Args:
            adaptation: tensors by name.
        """
        names = sorted(adaptation)
        parts = [tf.strings.as_string(self._hash(tf.io.serialize_tensor(adaptation[name]))) for name in names]
        return tf.strings.as_string(self._hash(tf.strings.join([*names, *parts], "\0")))[None]

    def _hash(self, contents):
        return tf.strings.to_hash_bucket_strong(contents, tf.int64.max, self._key)
