"""Meta-training on several devices or machines, to the result of one device with the same meta-batch.

Each replica takes its share of a meta-batch's episodes; `replicas` makes one meta-step of the shares. Meta-validation
is not shared: every worker classifies all episodes by itself, and the chief's accuracy counts.
"""

from ml_lstm.distribution.base import Distribution
from ml_lstm.distribution.strategies import distribution, require_shareable

__all__ = ["Distribution", "distribution", "require_shareable"]
