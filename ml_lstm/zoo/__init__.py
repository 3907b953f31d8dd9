"""The zoo: trained models that ship with the package, each with a card that says what it is for.

    model = ml_lstm.zoo.load("photos")
    adaptation = model.adapt(support_images, support_labels)
    logits = model.classify(adaptation, query_images)

An entry is a directory with `flags.json`, like that of a run, `weights.weights.h5` and `card.json`.
`python -m ml_lstm.zoo.add` makes one from a run.
"""

from ml_lstm.zoo.classifier import picture_classifier
from ml_lstm.zoo.entries import Entry, card, find, load, names
from ml_lstm.zoo.kept_exports import kept_export

__all__ = ["Entry", "card", "find", "kept_export", "load", "names", "picture_classifier"]
