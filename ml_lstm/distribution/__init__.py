"""Meta-training on several devices or machines, with the same result as on one device with the same meta-batch.

Each replica processes a share of a meta-batch's episodes; `replicas` combines the shares into one meta-step.
Meta-validation is not shared: every worker classifies all episodes, and the chief's accuracy is used.
"""

from ml_lstm.distribution.base import Distribution
from ml_lstm.distribution.strategies import distribution, require_shareable

__all__ = ["Distribution", "distribution", "require_shareable"]
