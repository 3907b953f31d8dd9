"""Layers with slow and fast weights: the layer augmentation of Meta Networks (Munkhdalai & Yu, ICML 2017, section 3.3).

An augmented layer transforms its input once with its slow weights and once with each set of fast weights, applies the
ReLU to each result, and adds the results; the last layer is linear and adds without a ReLU.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import keras
import tensorflow as tf


def flatten(tensors: Sequence[tf.Tensor], leading: int = 0) -> tf.Tensor:
    """Joins weights into one vector [..., P], with `leading` dimensions in front of each."""
    lead = tf.shape(tensors[0])[:leading]
    return tf.concat([tf.reshape(tensor, tf.concat([lead, [-1]], axis=0)) for tensor in tensors], axis=-1)


def unflatten(vectors: tf.Tensor, shapes: list[Sequence[int | tf.Tensor]]) -> list[tf.Tensor]:
    """Splits vectors [..., P] into weights [..., *shape]."""
    sizes = [tf.reduce_prod(shape) for shape in shapes]
    lead = tf.shape(vectors)[:-1]
    pieces = tf.split(vectors, sizes, axis=-1)
    return [tf.reshape(piece, tf.concat([lead, shape], axis=0)) for piece, shape in zip(pieces, shapes, strict=True)]


class Augmented(keras.layers.Layer):
    """A network with its own slow weights, to which sets of fast weights are added.

    Attributes:
        shapes: of its weights, a kernel and a bias in turn.
    """

    def _add_slow(self, shapes):
        self.shapes = shapes
        for index, shape in enumerate(shapes):
            initializer = "he_normal" if len(shape) > 1 else "zeros"
            # One attribute for each: TensorFlow's checkpoints do not track variables in a list of a Keras layer.
            setattr(self, f"slow_{index}", self.add_weight(name=f"slow_{index}", shape=shape, initializer=initializer))

    @property
    def slow(self) -> list[keras.Variable]:
        """The layer's own weights, with the shapes of `shapes`."""
        return [getattr(self, f"slow_{index}") for index in range(len(self.shapes))]

    def call(self, images, fast: Sequence[tf.Tensor] = (), slow: Sequence[tf.Tensor] | None = None):
        """Features [n, F] of images [n, H, W, C].

        Args:
            images: normalised.
            fast: sets of fast weights, each [P], or [n, P] with one set for each image.
            slow: used instead of the layer's own weights, to take a gradient with respect to them.
        """
        slow = [tf.convert_to_tensor(weight) for weight in self.slow] if slow is None else slow
        return self.with_sets(images, [slow, *(unflatten(vectors, self.shapes) for vectors in fast)])

    def with_sets(self, images: tf.Tensor, sets: Sequence[Sequence[tf.Tensor]]) -> tf.Tensor:
        """Features [n, F] of images [n, H, W, C] from sets of weights, each with these `shapes` or [n, *shape]."""
        raise NotImplementedError


@keras.saving.register_keras_serializable("ml_lstm")
class AugmentedConvolutions(Augmented):
    """Blocks of (3x3 convolution, ReLU, 2x2 max-pool) and a dense layer, from images to features.

    Args:
        filters: of each convolution.
        features: F.
        blocks: the number of blocks.
        linear: whether the dense layer has no ReLU.
        layer_norm: whether the output of each block is normalised to mean 0 and variance 1 over all values of an image
            (Ba et al. 2016), without learned scales. Images do not affect one another.
    """

    def __init__(
        self,
        filters: int = 32,
        features: int = 64,
        blocks: int = 4,
        linear: bool = True,
        layer_norm: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.features, self.blocks, self.linear = filters, features, blocks, linear
        self.layer_norm = layer_norm

    def build(self, input_shape):
        *_, height, width, channels = input_shape
        shapes = []
        for _ in range(self.blocks):
            shapes += [(3, 3, channels, self.filters), (self.filters,)]
            height, width, channels = height // 2, width // 2, self.filters
        self._add_slow([*shapes, (height * width * channels, self.features), (self.features,)])

    def with_sets(self, images, sets):
        """See `Augmented.with_sets`."""
        for block in range(self.blocks):
            kernels = [(weights[2 * block], weights[2 * block + 1]) for weights in sets]
            images = sum(tf.nn.relu(_convolution(images, *each)) for each in kernels)
            images = tf.nn.max_pool2d(images, 2, 2, "VALID")
            if self.layer_norm:
                images = keras.ops.layer_normalization(images, axis=[1, 2, 3], epsilon=1e-5)
        flat = tf.reshape(images, [-1, self.shapes[-2][0]])
        return augmented_dense(flat, [weights[-2:] for weights in sets], self.linear)


@keras.saving.register_keras_serializable("ml_lstm")
class AugmentedMLP(Augmented):
    """Dense layers of F units with ReLUs between them, from images to features.

    Args:
        features: F.
        layers: the number of layers.
        linear: whether the last layer has no ReLU.
    """

    def __init__(self, features: int = 64, layers: int = 3, linear: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.features, self.num_layers, self.linear = features, layers, linear

    def build(self, input_shape):
        widths = [math.prod(input_shape[1:]), *[self.features] * self.num_layers]
        self._add_slow([shape for width in pairwise(widths) for shape in (width, width[1:])])

    def with_sets(self, images, sets):
        """See `Augmented.with_sets`."""
        features = tf.reshape(images, [-1, self.shapes[0][0]])
        for layer in range(self.num_layers):
            linear = self.linear and layer + 1 == self.num_layers
            features = augmented_dense(features, [weights[2 * layer : 2 * layer + 2] for weights in sets], linear)
        return features


def augmented_dense(inputs: tf.Tensor, sets: Sequence[Sequence[tf.Tensor]], linear: bool = False) -> tf.Tensor:
    """A dense layer from [n, F] to [n, H] with several sets of weights, whose outputs are added.

    Args:
        inputs: [n, F].
        sets: each a kernel [F, H] and a bias [H], or one of each for every row, [n, F, H] and [n, H].
        linear: whether there is no ReLU.
    """
    outputs = [_affine(inputs, kernel, bias) for kernel, bias in sets]
    return sum(outputs if linear else map(tf.nn.relu, outputs))


def _affine(inputs, kernel, bias):
    if len(kernel.shape) == 2:
        return tf.matmul(inputs, kernel) + bias
    return tf.matmul(inputs[:, None], kernel)[:, 0] + bias


def _convolution(images, kernel, bias):
    """Convolves images [n, H, W, C] with one 3x3 kernel, or with a kernel [n, 3, 3, C, F] and bias [n, F] for each."""
    if len(kernel.shape) == 4:
        return tf.nn.conv2d(images, kernel, 1, "SAME") + bias
    *_, height, width, channels = images.shape
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    patches = tf.reshape(tf.concat(shifted, axis=-1), [-1, height * width, 9 * channels])
    filters = kernel.shape[-1]
    outputs = tf.matmul(patches, tf.reshape(kernel, [-1, 9 * channels, filters])) + bias[:, None]
    return tf.reshape(outputs, [-1, height, width, filters])
