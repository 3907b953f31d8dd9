"""Networks that get adapted, and what makes any Keras model one of them."""

import functools

from ml_lstm.learners.batch_norm import EpisodicBatchNormalization
from ml_lstm.learners.conv4 import conv4
from ml_lstm.learners.embedding import embedding, feature_maps, without_class_head
from ml_lstm.learners.functional import FunctionalLearner, LearnerState
from ml_lstm.learners.randomness import in_meta_training, meta_training, seed_states
from ml_lstm.learners.requirements import refuse_wrong_second_derivatives, require_features, require_logits
from ml_lstm.learners.resnet12 import resnet12
from ml_lstm.learners.structure import output_shape
from ml_lstm.learners.variables import averages, in_dtype_of, take_momentum

LEARNERS = {
    "conv4": conv4,
    "conv4_2pool": functools.partial(conv4, pools=2, centred=False),
    "conv4_centred": functools.partial(conv4, pools=4, centred=True),
    "resnet12": resnet12,
}
"""What `--learner` names: functions from `(image_shape, n_way)` and options to a built model that ends in logits."""

__all__ = [
    "LEARNERS",
    "EpisodicBatchNormalization",
    "FunctionalLearner",
    "LearnerState",
    "averages",
    "conv4",
    "embedding",
    "feature_maps",
    "in_dtype_of",
    "in_meta_training",
    "meta_training",
    "output_shape",
    "refuse_wrong_second_derivatives",
    "require_features",
    "require_logits",
    "resnet12",
    "seed_states",
    "take_momentum",
    "without_class_head",
]
