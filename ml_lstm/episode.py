"""What data sources produce and methods solve: problems, episodes and labelled batches, and checks of values."""

from typing import NamedTuple

import tensorflow as tf


class Problem(NamedTuple):
    """What every method knows of its data.

    Attributes:
        image_shape: `(height, width, channels)`.
        n_way: the largest number of classes in an episode, in meta-training or afterwards.
        train_classes: the number of meta-train classes; None if it is not known.
        image_mean: subtracted from pixels in [0, 1]; one number, or one for each channel.
        image_std: the divisor after that subtraction; one number, or one for each channel.
    """

    image_shape: tuple[int, int, int]
    n_way: int
    train_classes: int | None = None
    image_mean: float | tuple[float, ...] = 0.0
    image_std: float | tuple[float, ...] = 1.0


class Episode(NamedTuple):
    """One N-way K-shot problem; a meta-batch of episodes has one more leading dimension.

    Attributes:
        support_images: uint8 [S, H, W, C], other whole numbers from 0 to 255, or float in [0, 1].
        support_labels: int32 [S], in [0, n_way).
        query_images: like `support_images`, [Q, H, W, C].
        query_labels: int32 [Q].
    """

    support_images: tf.Tensor
    support_labels: tf.Tensor
    query_images: tf.Tensor
    query_labels: tf.Tensor

    def __repr__(self):
        return _in_one_line(self)


class LabelledBatch(NamedTuple):
    """Images of any meta-train classes, for methods that learn to classify all of these classes at once.

    Attributes:
        images: uint8 [n, H, W, C], other whole numbers from 0 to 255, or float in [0, 1].
        labels: int32 [n], in [0, train_classes).
    """

    images: tf.Tensor
    labels: tf.Tensor

    def __repr__(self):
        return _in_one_line(self)


def as_meta_batch(items: Episode | LabelledBatch | tuple) -> Episode | LabelledBatch:
    """What `fit` passes on, as a named tuple; a single episode becomes a meta-batch of one.

    Raises:
        ValueError: if there are not 2 or 4 items, or if labels are not whole numbers.
    """
    if len(items) not in (2, 4):
        raise ValueError(
            f"An episode is (support_images, support_labels, query_images, query_labels), got {len(items)} items."
        )
    items = (LabelledBatch if len(items) == 2 else Episode)(*items)
    items = type(items)(*map(tf.convert_to_tensor, items))
    for labels in items[1::2]:
        _refuse_other_than_numbers(labels)
    return items if len(items[-1].shape) == 2 else type(items)(*(tensor[None] for tensor in items))


def class_numbers(labels, n_classes: int | None) -> tf.Tensor:
    """Labels as int32, of the same shape.

    Args:
        labels: whole numbers from 0.
        n_classes: the number of classes allowed; None for any number.

    Raises:
        ValueError: for text and fractions, and for values out of range if they are already known.
    """
    labels = tf.convert_to_tensor(labels)
    _refuse_other_than_numbers(labels)
    known = tf.get_static_value(labels)
    if known is not None and known.size:
        least, most = known.min(), known.max()
        if least < 0 or (n_classes is not None and most >= n_classes):
            raise ValueError(f"{_wanted(n_classes)}, got {least if least < 0 else most}.")
    return tf.cast(labels, tf.int32)


def as_unit_range(images) -> tf.Tensor:
    """Images as float in [0, 1].

    Args:
        images: whole numbers from 0 to 255 of any type, float in [0, 1], or bool.

    Raises:
        ValueError: for text, and for values out of range if they are already known.
        tf.errors.InvalidArgumentError: at run time, for whole numbers out of range.
    """
    images = tf.convert_to_tensor(images)
    lowest, highest = _range_of(images)
    if images.dtype != tf.uint8:
        known = tf.get_static_value(images)
        if known is not None and known.size:
            least, most = known.min(), known.max()
            if least < lowest or most > highest:
                raise ValueError(f"{_PIXELS}, got {images.dtype.name} from {least} to {most}.")
    if not images.dtype.is_integer:
        return images if images.dtype.is_floating else tf.cast(images, tf.float32)
    with tf.control_dependencies(_pixel_checks("images", images) if images.dtype != tf.uint8 else []):
        return tf.cast(images, tf.float32) / 255.0


def with_values_in_range(items: Episode | LabelledBatch, n_classes: int | None) -> Episode | LabelledBatch:
    """A meta-batch whose graph fails with an error message before it reads labels or pixels out of range.

    Args:
        items: a meta-batch.
        n_classes: see `class_numbers`.
    """
    checks = []
    for name, values in items._asdict().items():
        if name.endswith("labels"):
            within = tf.reduce_all(values >= 0)
            if n_classes is not None:
                within &= tf.reduce_all(values < n_classes)
            checks.append(tf.debugging.Assert(within, [f"{_wanted(n_classes)}; {name} are", values], summarize=100))
        elif values.dtype != tf.uint8:
            checks += _pixel_checks(name, values)
    with tf.control_dependencies(checks):
        return type(items)(*map(tf.identity, items))


_PIXELS = "Images must be whole numbers from 0 to 255, or float in [0, 1]"


def _range_of(images):
    """The smallest and the largest value allowed for pixels; wider for floats, as interpolation overshoots."""
    if images.dtype.is_integer:
        return 0, 255
    if images.dtype.is_floating or images.dtype == tf.bool:
        return -0.5, 1.5
    raise ValueError(f"{_PIXELS}, got {images.dtype.name}.")


def _pixel_checks(name, images):
    lowest, highest = _range_of(images)
    if images.dtype == tf.bool:
        return []
    # In 64 bits, because int8 cannot hold 255. NaN passes here and is reported elsewhere.
    values = tf.cast(images, tf.int64 if images.dtype.is_integer else images.dtype)
    outside = tf.reduce_any((values < lowest) | (values > highest))
    extremes = [tf.reduce_min(values), tf.reduce_max(values)]
    return [tf.debugging.Assert(~outside, [f"{_PIXELS}; {name} are from and to", *extremes])]


def _refuse_other_than_numbers(labels):
    if not labels.dtype.is_integer:
        raise ValueError(
            f"Labels must be whole numbers, the number of the class in its episode, got {labels.dtype.name}: "
            "number the classes from 0, as numpy.unique(names, return_inverse=True) does."
        )


def _wanted(n_classes):
    return "Labels must be at least 0" if n_classes is None else f"Labels must be from 0 to {n_classes - 1}"


def correct(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """float32 [...]: 1 where the largest of `logits` [..., K] is at the label, int [...], else 0."""
    return tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.cast(labels, tf.int32)), tf.float32)


def _in_one_line(tensors):
    parts = (f"{name}={_shown(tensor)}" for name, tensor in tensors._asdict().items())
    return f"{type(tensors).__name__}({', '.join(parts)})"


def _shown(tensor):
    kind = getattr(tensor.dtype, "name", tensor.dtype) if hasattr(tensor, "dtype") else type(tensor).__name__
    return f"{kind}{list(getattr(tensor, 'shape', []))}"
