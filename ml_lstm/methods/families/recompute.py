"""Functions whose gradient runs them again instead of keeping intermediate values."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


class Recomputed:
    """A pure function of tensors and of the weights of Keras layers that keeps no intermediate values for its gradient.

    The gradient runs the function again: a third more arithmetic, but only the arguments stay in memory. With
    `jit_compile`, XLA compiles both, so that kernels run one after another without TensorFlow's executor; all
    shapes must be known then.

    Args:
        function: from nests of tensors to a nest of tensors.
        layers: the layers whose trainable weights the function reads.
        jit_compile: whether XLA compiles it.
    """

    def __init__(self, function: Callable, layers: Sequence[keras.Layer], jit_compile: bool = False):
        self._function = function
        self._layers = layers
        self._jit_compile = jit_compile
        self._forward = tf.function(self._run, jit_compile=jit_compile, autograph=False)
        self._backward = tf.function(self._differentiate, jit_compile=jit_compile, autograph=False)

    def weights(self) -> list[tf.Tensor]:
        """The weights of the layers, to be read once for many calls."""
        return [tf.convert_to_tensor(weight) for layer in self._layers for weight in layer.trainable_variables]

    def __call__(self, weights: list[tf.Tensor], *arguments: Any, constants: tuple = ()) -> Any:
        """Calls the function as `function(*arguments, *constants)`.

        Args:
            weights: the values for the layers' weights.
            *arguments: with gradients, like the weights.
            constants: without gradients.
        """
        flat = [tf.convert_to_tensor(tensor) for tensor in tf.nest.flatten(arguments)]

        @tf.custom_gradient
        def call(*tensors):
            inner = tf.nest.pack_sequence_as((weights, arguments), tensors)
            outputs = self._forward(*inner, constants)

            def gradient(*upstream):
                upstream = _floating(upstream, like=tf.nest.flatten(outputs))
                again = inner
                if not self._jit_compile:
                    # TensorFlow's graph optimizer merges equal operations on the same tensors and would keep the first
                    # result. So these are new tensors, which exist only when the upstream gradient does.
                    with tf.control_dependencies(upstream):
                        again = tf.nest.map_structure(tf.identity, inner)
                found = iter(self._backward(*again, constants, upstream))
                return [next(found) if tensor.dtype.is_floating else None for tensor in tensors]

            return outputs, gradient

        return call(*weights, *flat)

    def _run(self, weights, arguments, constants):
        variables = [variable for layer in self._layers for variable in layer.trainable_variables]
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            return self._function(*arguments, *constants)

    def _differentiate(self, weights, arguments, constants, upstream):
        tensors = _floating(tf.nest.flatten((weights, arguments)))
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = tf.nest.flatten(self._run(weights, arguments, constants))
        return tape.gradient(
            _floating(outputs),
            tensors,
            output_gradients=list(upstream),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )


def _floating(tensors, like=None):
    """The entries of `tensors` that have a gradient; a state may also hold a random seed."""
    return [tensor for tensor, kind in zip(tensors, like or tensors, strict=True) if kind.dtype.is_floating]
