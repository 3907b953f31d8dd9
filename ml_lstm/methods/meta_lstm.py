"""The LSTM meta-learner (Ravi & Larochelle, Optimization as a Model for Few-Shot Learning, ICLR 2017).

T steps of a learned optimizer adapt a network to a support set. At step t the network's loss and gradient on a
mini-batch of the support set are preprocessed and read by an LSTM, which runs over each parameter on its own. An
update rule (`ml_lstm.cells`) turns its output into the next parameters. The update rule, the LSTM and the network's
initial weights are trained together so that the adapted network classifies queries correctly.
"""

import keras

from ml_lstm.cells import CoordinateLSTM, MetaLSTMCell, UpdateRule
from ml_lstm.cells.preprocessing import NUM_FEATURES
from ml_lstm.episode import Problem
from ml_lstm.learners import LearnerState
from ml_lstm.methods.families.gradient_based import GradientBasedClassifier, InnerStep
from ml_lstm.methods.families.learned_optimizer import LearnedOptimizer
from ml_lstm.options import Weight


@keras.saving.register_keras_serializable("ml_lstm")
class MetaLSTM(GradientBasedClassifier):
    """Meta-learns the initial weights of a network and the optimizer that adapts it.

    The paper holds the learner's gradients constant (section 3.3.1) and normalises queries by their own batch in
    meta-training (section 3.4), which are the defaults here; `second_order` is Huisman et al. 2022.

    Args:
        learner, problem: see `GradientBasedClassifier`.
        cell: the update rule; None for a `MetaLSTMCell()`.
        inner_gradient_scale: factor on the learner's mean gradient before the update rule reads it; 1/inner_batch_size
            divides by the batch size once more, as the authors' code does.
        **shared: see `GradientBasedClassifier`.

    Raises:
        ValueError: like `GradientBasedClassifier`.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        cell: UpdateRule | None = None,
        *,
        inner_gradient_scale: Weight = 1.0,
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        cell = cell or MetaLSTMCell(dtype=self.dtype_policy)
        self.cell = cell
        self.inner_gradient_scale = inner_gradient_scale
        self.coordinate_lstm = CoordinateLSTM(cell.hidden_units, dtype=self.dtype_policy) if cell.hidden_units else None
        self._build_parts()
        self._optimizer = LearnedOptimizer(cell, self.coordinate_lstm, self.second_order)

    def _build_parts(self):
        coordinates = self.network.num_parameters
        if self.coordinate_lstm:
            self.coordinate_lstm.build((NUM_FEATURES, coordinates))
        features = (self.cell.hidden_units or NUM_FEATURES, coordinates)
        if not self.cell.built:  # a cell from a saved model is already built
            self.cell.build((features, (coordinates,)))
        others = {weight.dtype for weight in self.cell.weights} - {self.variable_dtype}
        if others:
            raise ValueError(
                f"The cell {self.cell.name!r} has weights in {others.pop()}, and the learner in {self.variable_dtype}: "
                f"create the cell with dtype={self.variable_dtype!r}."
            )
        self.built = True

    def updates(self, learner, batches, n_classes, training):
        """The steps of the learned optimizer; see `GradientBasedClassifier.updates`."""

        def spread(numbers):
            return self.network.spread(numbers, n_classes)

        blocks = self._optimizer.start(learner.parameters, spread)
        for batch in batches:
            loss, gradient, statistics = self.inner_gradient(learner, batch)
            cell_state, blocks = self._optimizer(blocks, loss, gradient * self.inner_gradient_scale)
            learner = LearnerState(cell_state[0], statistics)
            yield InnerStep(learner, loss, self.cell.gates(cell_state))

    def input_and_forget(self, step):
        """The gates of the cell; see `GradientBasedClassifier.input_and_forget`."""
        return self.cell.input_and_forget(step.watched)
