"""The step of a learned optimizer for all coordinates of a learner, fast on CPU and GPU."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import tensorflow as tf

from ml_lstm.cells import CoordinateLSTM, UpdateInputs, UpdateRule, update_features
from ml_lstm.cells.coordinate_lstm import rational_tanh
from ml_lstm.cells.preprocessing import NUM_FEATURES
from ml_lstm.methods.families.recompute import Recomputed

# Values in a block's widest tensor, the LSTM's four gates: 1 MiB, which fits into the cache of a core.
_BLOCK_SIZE = 2**18

_COMPILES = contextvars.ContextVar("compiles", default=True)


@contextlib.contextmanager
def without_xla() -> Iterator[None]:
    """Runs without XLA whatever is traced inside; an export needs this, as a server may not have XLA."""
    token = _COMPILES.set(False)
    try:
        yield
    finally:
        _COMPILES.reset(token)


class OptimizerState(NamedTuple):
    """The state of a learned optimizer for some coordinates.

    Attributes:
        cell: the state of the update rule, the parameters [P] first.
        lstm: `(h, c)` of the LSTM in front of it, [H, P] each; empty without an LSTM.
    """

    cell: tuple[tf.Tensor, ...]
    lstm: tuple[tf.Tensor, ...]


class Blocks(NamedTuple):
    """The state of a learned optimizer between two steps.

    Attributes:
        states: one for each block of coordinates, in order; blocks are equally long, and zeros pad the last one.
        weights: of the rule and the LSTM, read once for all steps, if the steps are compiled; else None.
    """

    states: list[OptimizerState]
    weights: list[tf.Tensor] | None


class LearnedOptimizer:
    """An update rule, and the LSTM in front of it, applied to one learner.

    In a graph, many coordinates are split into blocks, unless it is traced `without_xla`. A block's step is one
    compiled function: a core runs it within its cache, and it keeps only its arguments for its gradient. In the
    unrolled graph it is one node instead of about a hundred.

    Args:
        cell: the update rule.
        lstm: the LSTM in front of it; None for none.
        second_order: whether the meta-gradient also goes through losses and gradients.
    """

    def __init__(self, cell: UpdateRule, lstm: CoordinateLSTM | None, second_order: bool):
        self._cell = cell
        self._lstm = lstm
        self._second_order = second_order
        self._compiled_step = Recomputed(
            functools.partial(self._step, tanh=rational_tanh), [cell, *([lstm] if lstm else [])], jit_compile=True
        )

    def start(self, parameters: tf.Tensor, spread: Callable[[tf.Tensor], tf.Tensor]) -> Blocks:
        """The state before the first step.

        Args:
            parameters: [P], theta_0.
            spread: see `UpdateRule.get_initial_state`.
        """
        lstm_state = self._lstm.get_initial_state(tf.size(parameters)) if self._lstm else ()
        state = OptimizerState(self._cell.get_initial_state(parameters, spread), lstm_state)
        coordinates = parameters.shape[0]
        compiles = _COMPILES.get() and self._cell.reads_features and not tf.executing_eagerly()
        # Blocks do not help on an accelerator, where Keras compiles the whole step.
        if not compiles or coordinates is None or tf.config.get_visible_devices("GPU"):
            return Blocks([state], None)
        widest = 4 * self._lstm.units if self._lstm else NUM_FEATURES
        count = -(-coordinates * widest // _BLOCK_SIZE)
        if count == 1:
            return Blocks([state], None)
        count += count % 2  # an even number, so that two cores have the same amount of work
        size = -(-coordinates // count)
        parts = [_split(tensor, count, size) for tensor in tf.nest.flatten(state)]
        states = [tf.nest.pack_sequence_as(state, block) for block in zip(*parts, strict=True)]
        return Blocks(states, self._compiled_step.weights())

    def __call__(self, blocks: Blocks, loss: tf.Tensor, gradient: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Blocks]:
        """One step.

        Args:
            blocks: the state before the step.
            loss: scalar.
            gradient: [P].

        Returns:
            The update rule's state [P] of all coordinates, the parameters first, and the blocks after the step.
        """
        states, weights = blocks
        if weights is None:
            state = self._step(*states, loss, gradient)
            return state.cell, Blocks([state], None)
        gradients = _split(gradient, len(states), states[0].cell[0].shape[0])
        states = [
            self._compiled_step(weights, state, loss, part)
            if self._second_order
            else self._compiled_step(weights, state, constants=(loss, part))
            for state, part in zip(states, gradients, strict=True)
        ]
        cells = [state.cell for state in states]
        return tf.nest.map_structure(lambda *parts: _join(parts, gradient.shape[0]), *cells), Blocks(states, weights)

    def _step(self, state, loss, gradient, tanh=tf.tanh):
        features = update_features(loss, gradient) if self._cell.reads_features else None
        lstm_state = state.lstm
        if self._lstm:
            features, lstm_state = self._lstm(features, lstm_state, tanh=tanh)
        _, cell_state = self._cell(UpdateInputs(features, gradient), state.cell)
        return OptimizerState(cell_state, lstm_state)


def _split(tensor, count, size):
    """Splits [..., P] into `count` blocks of `size`, padding the last: XLA then compiles a single shape."""
    rest = count * size - tensor.shape[-1]
    *blocks, last = tf.split(tensor, [size] * (count - 1) + [size - rest], axis=-1)
    return [*blocks, tf.pad(last, [[0, 0]] * (tensor.shape.rank - 1) + [[0, rest]])]


def _join(blocks, coordinates):
    """Joins blocks into [P], without the padding."""
    *blocks, last = blocks
    return tf.concat([*blocks, last[: coordinates - sum(block.shape[0] for block in blocks)]], axis=0)
