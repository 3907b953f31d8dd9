"""DropBlock (Ghiasi et al., DropBlock: A regularization method for convolutional networks, NeurIPS 2018)."""

import keras
import tensorflow as tf

from ml_lstm.learners.randomness import in_meta_training


@keras.saving.register_keras_serializable("ml_lstm")
class DropBlock(keras.layers.Layer):
    r"""Sets squares of feature maps [n, H, W, C] to zero in meta-training, and scales up the rest to compensate.

    In each map, each place where a square of side b fits is the corner of a dropped square with probability

    .. math:: \gamma = \frac{rate}{b^2} \frac{H W}{(H - b + 1)(W - b + 1)}

    so about `rate` of the values are dropped, if squares do not overlap. Adaptation and answers outside
    meta-training use whole maps, even with `training=True`: an adaptation depends only on its support set.

    Args:
        rate: share to drop, in [0, 1).
        block_size: b, the side of the squares; limited to the sides of the maps.

    Raises:
        ValueError: for a rate or a size out of range.
    """

    def __init__(self, rate: float, block_size: int = 5, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate must be in [0, 1), got {rate}.")
        if block_size < 1:
            raise ValueError(f"block_size must be at least 1, got {block_size}.")
        self.rate, self.block_size = rate, block_size
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, inputs, training=False):
        if not (training and self.rate and in_meta_training()):
            return inputs
        _, height, width, channels = inputs.shape
        sides = min(self.block_size, height), min(self.block_size, width)
        corners = height - sides[0] + 1, width - sides[1] + 1
        probability = self.rate * height * width / (sides[0] * sides[1] * corners[0] * corners[1])
        draws = keras.random.uniform((tf.shape(inputs)[0], *corners, channels), seed=self.seed_generator)
        around = [[0, 0], *([side - 1, side - 1] for side in sides), [0, 0]]
        dropped = tf.nn.max_pool2d(tf.pad(tf.cast(draws < probability, draws.dtype), around), sides, 1, "VALID")
        kept = 1.0 - dropped
        kept *= tf.cast(tf.size(kept), kept.dtype) / tf.maximum(tf.reduce_sum(kept), 1.0)
        return inputs * tf.cast(kept, inputs.dtype)

    def get_config(self):
        return super().get_config() | {"rate": self.rate, "block_size": self.block_size}
