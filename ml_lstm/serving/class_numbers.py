"""Numbers the classes of a request by their names, independent of their order in the request."""

import tensorflow as tf

_WORDS, _BYTES = 16, 8  # 128 bytes of a name are compared, 8 at a time
_SIGN = tf.int64.min


def numbered(names: tf.Tensor) -> tf.Tensor:
    """The classes of a support set, and the class index of each example.

    Classes are sorted by the bytes of their names, like `sorted` and a listing of folders. Names that begin with the
    same 128 bytes have another order, which does not depend on the request either. So the memory needed depends on the
    number of names, not on the longest one.

    Args:
        names: class of each example, string [S].

    Returns:
        `(classes string [K], labels int32 [S])`; a label is an index into `classes`.
    """
    found, indices = tf.unique(names)
    order = _order_of(found)
    return tf.gather(found, order), tf.gather(tf.math.invert_permutation(order), indices)


def _order_of(names):
    """Indices that sort different names [K], int32 [K]: stable sorts, the least significant word first."""
    words = tf.io.decode_raw(names, tf.int64, little_endian=False, fixed_length=_WORDS * _BYTES)
    words = tf.bitwise.bitwise_xor(words, tf.constant(_SIGN, tf.int64))  # bytes are unsigned
    # Shorter names are padded with zeros, which a longer name may contain there.
    ties = [tf.strings.to_hash_bucket_fast(names, tf.int64.max), tf.cast(tf.strings.length(names), tf.int64)]
    order = tf.range(tf.size(names))
    for key in (*ties, *reversed(tf.unstack(words, _WORDS, axis=1))):
        order = tf.gather(order, tf.argsort(tf.gather(key, order), stable=True))
    return order
