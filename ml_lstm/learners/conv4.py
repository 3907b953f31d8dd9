"""The four-block convolutional network used in most few-shot papers."""

from typing import Annotated

import keras

from ml_lstm.learners.batch_norm import EpisodicBatchNormalization
from ml_lstm.learners.convolution import Convolution, NormalizedConvolution
from ml_lstm.learners.precision import block_policy
from ml_lstm.learners.unit_features import UnitFeatures
from ml_lstm.options import Count, between, checked


@checked
def conv4(
    image_shape: tuple[int, int, int],
    n_way: int,
    *,
    filters: Count = 32,
    pools: Annotated[int, between(0, 4)] = 4,
    centred: bool = False,
    unit_features: bool = False,
    mixed_precision: bool = False,
) -> keras.Model:
    """Four blocks of (3x3 convolution, batch norm, ReLU, 2x2 max-pool), then a dense head.

    The ReLU comes after the pooling: the result is the same and the ReLU computes a quarter of the values.

    Vinyals et al. (2016), with the 32 filters of Ravi & Larochelle (2017): 32,901 parameters for 84x84x3
    images and 5 classes.

    Args:
        image_shape: `(height, width, channels)`, at least 16x16.
        n_way: classes, the width of the output.
        filters: filters of each convolution.
        pools: number of blocks, counted from the first, that end in max-pooling; Relation Networks use 2.
        centred: whether the last block is (convolution, max-pool, batch norm) instead, so that a support set's
            features are around zero. A gradient step adds the images' features to the output weights; with centred
            features it adds nothing that all images share.
        unit_features: whether the features of each image are scaled to a mean square of one before the head.
        mixed_precision: whether the blocks compute in bfloat16; weights, batch norm's averages and the layers after
            the blocks stay float32.

    Returns:
        A built model from [n, height, width, channels] to logits [n, n_way].

    Raises:
        ValueError: for images smaller than 16x16, an option out of range, or bfloat16 if TensorFlow cannot run it.
    """
    height, width, _ = image_shape
    if min(height, width) < 16:
        raise ValueError(f"conv4 halves its images four times and needs at least 16x16, got {height}x{width}.")
    dtype = block_policy(mixed_precision)
    x = inputs = keras.Input(image_shape)
    for block in range(4):
        pool = [keras.layers.MaxPool2D(2, dtype=dtype)] if block < pools else []
        if centred and block == 3:
            normalize = EpisodicBatchNormalization(dtype=dtype)
            layers = [Convolution(filters, 3, padding="same", dtype=dtype), *pool, normalize]
        else:
            convolution = NormalizedConvolution(filters, 3, padding="same", dtype=dtype)
            layers = [convolution, *pool, keras.layers.ReLU(dtype=dtype)]
        for layer in layers:
            x = layer(x)
    features = keras.layers.Flatten(dtype="float32")(x)
    features = UnitFeatures(dtype="float32")(features) if unit_features else features
    logits = keras.layers.Dense(n_way, name="head", dtype="float32")(features)
    return keras.Model(inputs, logits, name="conv4")
