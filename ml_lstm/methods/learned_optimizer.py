"""A learned optimizer's step for all coordinates of a learner, as fast as a machine allows."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from ml_lstm.cells import CoordinateLSTM, UpdateInputs, UpdateRule, update_features
from ml_lstm.cells.preprocessing import NUM_FEATURES
from ml_lstm.methods.recompute import Recomputed

# Numbers in a block's widest tensor, the LSTM's four gates: 1 MiB, which stays in a core's own cache.
_BLOCK_SIZE = 2**18


class OptimizerState(NamedTuple):
    """What a learned optimizer keeps of some coordinates.

    Attributes:
        cell: of the update rule, the parameters [P] first.
        lstm: `(h, c)` of the LSTM in front of it, [H, P] each; empty without one.
    """

    cell: tuple[tf.Tensor, ...]
    lstm: tuple[tf.Tensor, ...]


class LearnedOptimizer:
    """An update rule, with the LSTM in front of it, at work on one learner.

    Where it may be compiled, in the graphs of meta-training, the coordinates are taken in blocks: a block's step is one
    compiled function, which a core runs within its cache, and which keeps nothing for its gradient but its arguments.
    The unrolled graph has a node for it rather than a hundred.

    Args:
        cell: the update rule.
        lstm: in front of it; None for none.
        second_order: whether the meta-gradient goes through losses and gradients too.
    """

    def __init__(self, cell: UpdateRule, lstm: CoordinateLSTM | None, second_order: bool):
        self._cell = cell
        self._lstm = lstm
        self._second_order = second_order
        self._compiled_step = Recomputed(self._step, [cell, *([lstm] if lstm else [])], jit_compile=True)

    def start(
        self, parameters: tf.Tensor, spread: Callable[[tf.Tensor], tf.Tensor], may_compile: bool
    ) -> list[OptimizerState]:
        """The state before the first step, in blocks.

        Args:
            parameters: [P], theta_0.
            spread: see `UpdateRule.get_initial_state`.
            may_compile: False where what is traced has to run without XLA, as in an export.
        """
        lstm_state = self._lstm.get_initial_state(tf.size(parameters)) if self._lstm else ()
        state = OptimizerState(self._cell.get_initial_state(parameters, spread), lstm_state)
        coordinates = parameters.shape[0]
        if not may_compile or tf.executing_eagerly() or coordinates is None or not self._cell.reads_features:
            return [state]
        widest = 4 * self._lstm.units if self._lstm else NUM_FEATURES
        return _split(state, coordinates, -(-coordinates * widest // _BLOCK_SIZE))

    def __call__(
        self, blocks: list[OptimizerState], loss: tf.Tensor, gradient: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], list[OptimizerState]]:
        """One step.

        Args:
            blocks: the state before it.
            loss: scalar.
            gradient: [P].

        Returns:
            The update rule's state [P] of all coordinates, the parameters first, and the state after it in blocks.
        """
        if len(blocks) == 1:
            blocks = [self._step(blocks[0], loss, gradient)]
            return blocks[0].cell, blocks
        sizes = [block.cell[0].shape[0] for block in blocks]
        blocks = [
            self._compiled_step(block, loss, part)
            if self._second_order
            else self._compiled_step(block, constants=(loss, part))
            for block, part in zip(blocks, tf.split(gradient, sizes), strict=True)
        ]
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *[block.cell for block in blocks]), blocks

    def _step(self, state, loss, gradient):
        features = update_features(loss, gradient) if self._cell.reads_features else None
        lstm_state = state.lstm
        if self._lstm:
            features, lstm_state = self._lstm(features, lstm_state)
        _, cell_state = self._cell(UpdateInputs(features, gradient), state.cell)
        return OptimizerState(cell_state, lstm_state)


def _split(state, coordinates, number):
    """A state in `number` blocks, all but the last of the same size, so that no more than two are compiled."""
    size = -(-coordinates // number)
    sizes = [size] * (coordinates // size) + [coordinates % size] * (coordinates % size > 0)
    parts = [tf.split(tensor, sizes, axis=-1) for tensor in tf.nest.flatten(state)]
    return [tf.nest.pack_sequence_as(state, block) for block in zip(*parts, strict=True)]
