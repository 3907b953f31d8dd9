"""The numbers that classes of a request get: by their names, whatever order they are listed in."""

import tensorflow as tf

_WORDS, _BYTES = 16, 8  # 128 bytes of a name are compared, 8 at a time
_SIGN = tf.int64.min


def numbered(names: tf.Tensor) -> tf.Tensor:
    """The classes of a support set, and the number of each example's.

    Classes are in the order of their names' bytes, which is that of `sorted` and of a listing of folders. Names that
    begin with the same 128 bytes are in an order that is as little that of the request: memory is bound by how many
    names there are, not by the longest one.

    Args:
        names: of the class of each example, string [S].

    Returns:
        `(classes string [K], labels int32 [S])`, a class's label being its place among `classes`.
    """
    found, indices = tf.unique(names)
    order = _order_of(found)
    return tf.gather(found, order), tf.gather(tf.math.invert_permutation(order), indices)


def _order_of(names):
    """Indices that sort different names [K], int32 [K]: stable sorts by the least word first."""
    words = tf.io.decode_raw(names, tf.int64, little_endian=False, fixed_length=_WORDS * _BYTES)
    words = tf.bitwise.bitwise_xor(words, tf.constant(_SIGN, tf.int64))  # bytes have no sign
    # Shorter names are filled up with zeros, which a longer one may have there.
    ties = [tf.strings.to_hash_bucket_fast(names, tf.int64.max), tf.cast(tf.strings.length(names), tf.int64)]
    order = tf.range(tf.size(names))
    for key in (*ties, *reversed(tf.unstack(words, _WORDS, axis=1))):
        order = tf.gather(order, tf.argsort(tf.gather(key, order), stable=True))
    return order
