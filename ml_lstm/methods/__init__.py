"""Few-shot classifiers: one file a method, one interface (`base.FewShotClassifier`)."""

from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.meta_lstm import MetaLSTM

METHODS = {"meta_lstm": MetaLSTM}

__all__ = ["METHODS", "Adaptation", "FewShotClassifier", "MetaLSTM"]
