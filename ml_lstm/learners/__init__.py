"""Networks that get adapted, and what makes any Keras model one of them."""

import functools
from collections.abc import Mapping
from typing import Any

import keras

from ml_lstm.learners.batch_norm import EpisodicBatchNormalization
from ml_lstm.learners.conv4 import conv4
from ml_lstm.learners.embedding import embedding, feature_maps, without_class_head
from ml_lstm.learners.functional import FunctionalLearner, LearnerState
from ml_lstm.learners.requirements import (
    refuse_class_head,
    refuse_unbuilt,
    refuse_wrong_second_derivatives,
    require_features,
    require_logits,
)
from ml_lstm.learners.structure import output_shape
from ml_lstm.learners.variables import averages, seed_states

# Each from (image_shape, n_way, filters, batch_norm_momentum, dtype=) to a built model.
LEARNERS = {
    "conv4": conv4,
    "conv4_2pool": functools.partial(conv4, pools=2),
    "conv4_centred": functools.partial(conv4, centred=True),
}


def from_flags(flags: Mapping[str, Any], image_shape: tuple[int, int, int], n_way: int) -> keras.Model:
    """The learner that the commands' flags describe, for images [height, width, channels] and `n_way` classes."""
    dtype = "mixed_bfloat16" if flags["mixed_precision"] else "float32"
    return LEARNERS[flags["learner"]](image_shape, n_way, flags["filters"], flags["batch_norm_momentum"], dtype=dtype)


__all__ = [
    "LEARNERS",
    "EpisodicBatchNormalization",
    "FunctionalLearner",
    "LearnerState",
    "averages",
    "conv4",
    "embedding",
    "feature_maps",
    "from_flags",
    "output_shape",
    "refuse_class_head",
    "refuse_unbuilt",
    "refuse_wrong_second_derivatives",
    "require_features",
    "require_logits",
    "seed_states",
    "without_class_head",
]
