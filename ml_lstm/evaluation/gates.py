"""Gates of single parameters of a learner over its updates, as in figure 2 of Ravi & Larochelle (ICLR 2017)."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ml_lstm.episode import Episode
from ml_lstm.errors import UserError
from ml_lstm.methods import FewShotClassifier
from ml_lstm.methods.families.gradient_based import GradientBasedClassifier


class GateValues(NamedTuple):
    """Gates of one parameter of each layer.

    Shapes: N episodes, T updates, L layers.

    Attributes:
        layers: L names.
        parameters: L indices of the parameters among all of the learner's.
        input_gates: float32 [N, T, L], defined by `UpdateRule.input_and_forget`.
        forget_gates: float32 [N, T, L], likewise.
    """

    layers: list[str]
    parameters: list[int]
    input_gates: np.ndarray
    forget_gates: np.ndarray


def gate_values(method: FewShotClassifier, episodes: tf.data.Dataset, seed: int = 0) -> GateValues:
    """Adapts to support sets, and records the gates of one randomly drawn parameter of each layer.

    Args:
        method: trained.
        episodes: a finite data set of `Episode`, all with the same number of classes.
        seed: determines the parameters.

    Raises:
        UserError: for a method without gates.
    """
    if not isinstance(method, GradientBasedClassifier):
        raise _without_gates()
    drawn, values = {}, []
    for episode in episodes:
        support, labels, *_ = Episode(*episode)
        gates = method.gates(support, labels)
        if gates is None:
            raise _without_gates()
        drawn = drawn or _drawn(method, gates[0].shape[1], seed)
        values.append([gate.numpy()[:, list(drawn.values())].astype(np.float32) for gate in gates])
    input_gates, forget_gates = (np.stack(each) for each in zip(*values, strict=True))
    return GateValues(list(drawn), list(drawn.values()), input_gates, forget_gates)


def _drawn(method, count, seed):
    generator = np.random.default_rng(seed)
    layers = method.network.layer_coordinates(count).items()
    return {name: int(generator.choice(coordinates)) for name, coordinates in layers}


def _without_gates():
    return UserError(
        "Only --method=meta_lstm with --cell=meta_lstm, complete_lstm or gru has gates: choose such a run."
    )
