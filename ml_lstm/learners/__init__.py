"""Networks that are adapted, and the wrapper that makes any Keras model a learner."""

from ml_lstm.learners.batch_norm import EpisodicBatchNormalization
from ml_lstm.learners.conv4 import conv4
from ml_lstm.learners.embedding import embedding, ends_in_class_head, feature_maps, without_class_head
from ml_lstm.learners.freezing import frozen_weights
from ml_lstm.learners.functional import FunctionalLearner, LearnerState
from ml_lstm.learners.mlp import mlp
from ml_lstm.learners.named import KINDS, LEARNERS, as_recorded, find_learner, is_kept, natural_image_size
from ml_lstm.learners.own import own_file
from ml_lstm.learners.preprocessing import Preprocessing, normalizes_images
from ml_lstm.learners.pretrained import application
from ml_lstm.learners.randomness import in_meta_training, meta_training, seed_states
from ml_lstm.learners.requirements import refuse_wrong_second_derivatives, require_features, require_logits
from ml_lstm.learners.resnet12 import resnet12
from ml_lstm.learners.structure import output_shape
from ml_lstm.learners.variables import averages, freeze_batch_norm, in_dtype_of, take_momentum

__all__ = [
    "KINDS",
    "LEARNERS",
    "EpisodicBatchNormalization",
    "FunctionalLearner",
    "LearnerState",
    "Preprocessing",
    "application",
    "as_recorded",
    "averages",
    "conv4",
    "embedding",
    "ends_in_class_head",
    "feature_maps",
    "find_learner",
    "freeze_batch_norm",
    "frozen_weights",
    "in_dtype_of",
    "in_meta_training",
    "is_kept",
    "meta_training",
    "mlp",
    "natural_image_size",
    "normalizes_images",
    "output_shape",
    "own_file",
    "refuse_wrong_second_derivatives",
    "require_features",
    "require_logits",
    "resnet12",
    "seed_states",
    "take_momentum",
    "without_class_head",
]
