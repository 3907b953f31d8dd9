"""The LSTM meta-learner (Ravi & Larochelle, Optimization as a Model for Few-Shot Learning, ICLR 2017).

A network is adapted to a support set by T steps of a learned optimizer. At step t the network's loss and
gradient on a mini-batch of the support set are preprocessed, read by an LSTM that runs over each parameter
on its own, and turned by an update rule (`ml_lstm.cells`) into the next parameters. The update rule, the
LSTM and the network's initial weights are trained together to make the adapted network right about queries.
"""

from collections.abc import Mapping
from typing import Any

import keras

from ml_lstm.cells import (
    CompleteLSTMCell,
    CoordinateLSTM,
    GRUCell,
    MetaLSTMCell,
    MetaSGDCell,
    SGDCell,
    TurtleCell,
    UpdateRule,
)
from ml_lstm.cells.preprocessing import NUM_FEATURES
from ml_lstm.learners import LearnerState
from ml_lstm.methods.families.gradient_based import GradientBasedClassifier, InnerStep
from ml_lstm.methods.families.learned_optimizer import LearnedOptimizer

CELLS = {
    "meta_lstm": MetaLSTMCell,
    "complete_lstm": CompleteLSTMCell,
    "gru": GRUCell,
    "sgd": SGDCell,
    "meta_sgd": MetaSGDCell,
    "turtle": TurtleCell,
}


@keras.saving.register_keras_serializable("ml_lstm")
class MetaLSTM(GradientBasedClassifier):
    """Meta-learns a network's initial weights and the optimizer that adapts it.

    The paper holds the learner's gradients constant (section 3.3.1) and normalises queries by their own batch in
    meta-training (section 3.4), which are the defaults here; `second_order` is Huisman et al. 2022.

    Args:
        learner: see `GradientBasedClassifier`.
        cell: the update rule; None for a `MetaLSTMCell()`.
        hidden_units: of the coordinate-wise LSTM in front of the update rule; 0 for none, None for as many as the
            rule has by default.
        inner_gradient_scale: factor on the learner's gradient before the update rule sees it. The authors'
            code divides its mean gradient once more by the batch size.
        **settings: see `GradientBasedClassifier`.

    Raises:
        ValueError: for `hidden_units` below 0, an LSTM in front of a rule that takes none, and as
            `GradientBasedClassifier`.
    """

    def __init__(
        self,
        learner: keras.Model,
        cell: UpdateRule | None = None,
        hidden_units: int | None = None,
        inner_gradient_scale: float = 1.0,
        **settings,
    ):
        super().__init__(learner, **settings)
        cell = cell or MetaLSTMCell()
        if hidden_units is None:
            hidden_units = cell.default_hidden_units
        if hidden_units < 0:
            raise ValueError(f"hidden_units must be at least 0, got {hidden_units}.")
        if hidden_units and not cell.default_hidden_units:
            raise ValueError(f"{type(cell).__name__} takes no LSTM: hidden_units must be 0, got {hidden_units}.")
        self.cell = cell
        self.hidden_units = hidden_units
        self.inner_gradient_scale = inner_gradient_scale
        self.coordinate_lstm = CoordinateLSTM(hidden_units, dtype=self.dtype_policy) if hidden_units else None
        self._build_parts()
        self._optimizer = LearnedOptimizer(cell, self.coordinate_lstm, self.second_order)

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], image_shape: tuple[int, int, int], **normalization):
        """Builds the method that the commands' flags describe; see `FewShotClassifier.from_flags`."""
        return cls(
            cell=CELLS[flags["cell"]].from_flags(flags),
            hidden_units=flags["hidden_units"],
            inner_gradient_scale=flags["inner_gradient_scale"],
            **cls.settings_from_flags(flags, image_shape),
            **normalization,
        )

    def _build_parts(self):
        coordinates = self.network.num_parameters
        if self.coordinate_lstm:
            self.coordinate_lstm.build((NUM_FEATURES, coordinates))
        features = (self.hidden_units or NUM_FEATURES, coordinates)
        if not self.cell.built:  # built already, when it comes from a saved model
            self.cell.build((features, (coordinates,)))
        self.built = True

    def updates(self, learner, batches, n_classes, training):
        """The learned optimizer; see `GradientBasedClassifier.updates`."""

        def spread(numbers):
            return self.network.spread(numbers, n_classes)

        blocks = self._optimizer.start(learner.parameters, spread)
        for batch in batches:
            loss, gradient, statistics = self.inner_gradient(learner, batch)
            cell_state, blocks = self._optimizer(blocks, loss, gradient * self.inner_gradient_scale)
            learner = LearnerState(cell_state[0], statistics)
            yield InnerStep(learner, loss, self.cell.gates(cell_state))

    def get_config(self):
        return super().get_config() | {
            "cell": keras.saving.serialize_keras_object(self.cell),
            "hidden_units": self.hidden_units,
            "inner_gradient_scale": self.inner_gradient_scale,
        }

    @classmethod
    def from_config(cls, config):
        return super().from_config(config | {"cell": keras.saving.deserialize_keras_object(config["cell"])})
