"""ResNet-12, the residual network used in many few-shot papers (Oreshkin et al., TADAM, NeurIPS 2018)."""

from typing import Annotated

import keras

from ml_lstm.learners.convolution import NormalizedConvolution
from ml_lstm.learners.drop_block import DropBlock
from ml_lstm.learners.precision import block_policy
from ml_lstm.options import Count, Rule, checked

Widths = Annotated[
    tuple[float, float, float], Rule(lambda values: min(values) > 0 and max(values) < 100, "three numbers in (0, 100)")
]


@checked
def resnet12(
    image_shape: tuple[int, int, int],
    n_way: int,
    *,
    filters: Count = 64,
    widening: Widths = (2.5, 5.0, 10.0),
    drop_rate: Annotated[float, Rule(lambda value: 0 <= value < 1, "in [0, 1)")] = 0.0,
    drop_block_size: Count = 5,
    mixed_precision: bool = False,
) -> keras.Model:
    """Four residual blocks of three 3x3 convolutions, global average pooling, and a dense head.

    A block adds (convolution, batch norm, leaky ReLU, convolution, batch norm, leaky ReLU, convolution, batch norm) to
    (1x1 convolution, batch norm) of its input; it ends in a leaky ReLU of slope 0.1 and a 2x2 max-pool. That ReLU
    comes after the pooling: the result is the same and the ReLU computes a quarter of the values.

    The widths are those of Lee et al. (*Meta-Learning with Differentiable Convex Optimization*, CVPR 2019), 64, 160,
    320 and 640: 12,424,320 parameters for coloured images, without the head. Chen et al. (*Meta-Baseline*, ICCV 2021)
    have 64, 128, 256 and 512, 8.0 million: `widening=(2, 4, 8)`.

    Args:
        image_shape: `(height, width, channels)`, at least 16x16.
        n_way: classes, the width of the output.
        filters: filters of each convolution in the first block; `widening` gives those of the others.
        widening: filters in the second, third and fourth block, as multiples of `filters`.
        drop_rate: share of a block's outputs that meta-training sets to zero, 0.1 in Lee et al.: single values after
            the first two blocks, squares after the last two (`DropBlock`).
        drop_block_size: the side of those squares; 2 in Lee et al. for images of 32x32.
        mixed_precision: whether the blocks compute in bfloat16; weights, batch norm's averages and the layers after
            the blocks stay float32.

    Returns:
        A built model from [n, height, width, channels] to logits [n, n_way].

    Raises:
        ValueError: for images smaller than 16x16, an option out of range, or bfloat16 if TensorFlow cannot run it.
    """
    height, width, _ = image_shape
    if min(height, width) < 16:
        raise ValueError(f"resnet12 halves its images four times and needs at least 16x16, got {height}x{width}.")
    dtype = block_policy(mixed_precision)
    x = inputs = keras.Input(image_shape)
    for multiple, side in zip((1.0, *widening), (1, 1, drop_block_size, drop_block_size), strict=True):
        x = _residual_block(x, max(1, round(multiple * filters)), dtype)
        if drop_rate:
            x = DropBlock(drop_rate, side, dtype=dtype)(x)
    features = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model(inputs, keras.layers.Dense(n_way, name="head", dtype="float32")(features), name="resnet12")


def _residual_block(x, filters, dtype):
    shortcut = _convolution(filters, 1, dtype)(x)
    for _ in range(2):
        x = _leaky_relu(dtype)(_convolution(filters, 3, dtype)(x))
    x = _convolution(filters, 3, dtype)(x)
    x = keras.layers.Add(dtype=dtype)([x, shortcut])
    return _leaky_relu(dtype)(keras.layers.MaxPool2D(2, dtype=dtype)(x))


def _convolution(filters, size, dtype):
    """A normalised convolution without its own bias, as batch norm has one."""
    # This initializer keeps the size of gradients in the backward pass (He et al. 2015), as in Lee et al.'s code.
    initializer = keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")
    return NormalizedConvolution(
        filters, size, padding="same", use_bias=False, kernel_initializer=initializer, dtype=dtype
    )


def _leaky_relu(dtype):
    return keras.layers.LeakyReLU(negative_slope=0.1, dtype=dtype)
