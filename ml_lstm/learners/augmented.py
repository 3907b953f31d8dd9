"""Layers with slow and fast weights: the layer augmentation of Meta Networks (Munkhdalai & Yu, ICML 2017, section 3.3).

An augmented layer transforms its input once by its slow weights and once by each set of fast ones, applies the ReLU to
each result, and adds up what comes out; a last, linear layer just adds up.
"""

from collections.abc import Sequence

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


@keras.saving.register_keras_serializable("ml_lstm")
class AugmentedConvolutions(keras.layers.Layer):
    """Blocks of (3x3 convolution, ReLU, 2x2 max-pool) and a dense layer, from images to features.

    Args:
        filters: of each convolution.
        features: F.
        blocks: how many.
    """

    def __init__(self, filters: int = 32, features: int = 64, blocks: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.features, self.blocks = filters, features, blocks

    def build(self, input_shape):
        *_, height, width, channels = input_shape
        self.shapes = []
        for _ in range(self.blocks):
            self.shapes += [(3, 3, channels, self.filters), (self.filters,)]
            height, width, channels = height // 2, width // 2, self.filters
        self.shapes += [(height * width * channels, self.features), (self.features,)]
        for index, shape in enumerate(self.shapes):
            initializer = "he_normal" if len(shape) > 1 else "zeros"
            # An attribute each: TensorFlow's checkpoints do not see variables in a list of a Keras layer.
            setattr(self, f"slow_{index}", self.add_weight(name=f"slow_{index}", shape=shape, initializer=initializer))

    @property
    def slow(self) -> list[keras.Variable]:
        """The layer's own weights: a kernel and a bias for each block, and for the dense layer."""
        return [getattr(self, f"slow_{index}") for index in range(len(self.shapes))]

    def call(self, images, fast: Sequence[tf.Tensor] = (), slow: Sequence[tf.Tensor] | None = None):
        """Features [n, F] of images [n, H, W, C].

        Args:
            images: normalised.
            fast: sets of fast weights, each [P].
            slow: in place of the layer's own, to take a gradient to.
        """
        slow = [tf.convert_to_tensor(weight) for weight in self.slow] if slow is None else slow
        sets = [slow, *(unflatten(vector, self.shapes) for vector in fast)]
        for block in range(self.blocks):
            kernels = [(weights[2 * block], weights[2 * block + 1]) for weights in sets]
            images = sum(tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME") + bias) for kernel, bias in kernels)
            images = tf.nn.max_pool2d(images, 2, 2, "VALID")
        flat = tf.reshape(images, [-1, self.shapes[-2][0]])
        return sum(tf.matmul(flat, weights[-2]) + weights[-1] for weights in sets)
