"""Few-shot classifiers: one file a method, one interface (`base.FewShotClassifier`)."""

from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.maml import MAML
from ml_lstm.methods.meta_lstm import MetaLSTM
from ml_lstm.methods.reptile import Reptile

METHODS = {"fomaml": MAML, "maml": MAML, "meta_lstm": MetaLSTM, "reptile": Reptile}

__all__ = ["MAML", "METHODS", "Adaptation", "FewShotClassifier", "MetaLSTM", "Reptile"]
