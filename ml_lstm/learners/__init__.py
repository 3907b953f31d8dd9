"""Networks that get adapted, and what makes any Keras model one of them."""

import functools

from ml_lstm.learners.batch_norm import EpisodicBatchNormalization
from ml_lstm.learners.conv4 import conv4
from ml_lstm.learners.embedding import embedding, feature_maps
from ml_lstm.learners.functional import FunctionalLearner, LearnerState

# Each from (image_shape, n_way, filters, batch_norm_momentum) to a built model.
LEARNERS = {
    "conv4": conv4,
    "conv4_2pool": functools.partial(conv4, pools=2),
    "conv4_centred": functools.partial(conv4, centred=True),
}

__all__ = [
    "LEARNERS",
    "EpisodicBatchNormalization",
    "FunctionalLearner",
    "LearnerState",
    "conv4",
    "embedding",
    "feature_maps",
]
