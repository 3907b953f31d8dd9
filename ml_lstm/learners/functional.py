"""A built Keras model seen as a pure function of one flat parameter vector."""

from typing import NamedTuple

import keras
import tensorflow as tf


class LearnerState(NamedTuple):
    """All that a learner is inside an episode.

    Attributes:
        parameters: [P], the trainable variables, flattened and joined in the order of `trainable_variables`.
        statistics: the non-trainable variables (batch-norm averages, say), one tensor each.
    """

    parameters: tf.Tensor
    statistics: tuple[tf.Tensor, ...]


class FunctionalLearner:
    """Calls a Keras model with the weights of a `LearnerState` in place of its own.

    The model's variables are read by `initial_state` and written by nothing: two episodes can run at the
    same time, and gradients flow to whatever made the state.

    Args:
        model: any built Keras model with at least one trainable variable.

    Raises:
        ValueError: for a model that is not built, or has nothing to adapt.
    """

    def __init__(self, model: keras.Model):
        if not model.built:
            raise ValueError(f"The learner {model.name!r} is not built: call it once, or `model.build(shape)`, first.")
        if not model.trainable_variables:
            raise ValueError(f"The learner {model.name!r} has no trainable variable, so nothing can be adapted.")
        self.model = model
        self._shapes = [tuple(v.shape) for v in model.trainable_variables]
        self._sizes = [tf.TensorShape(shape).num_elements() for shape in self._shapes]

    @property
    def num_parameters(self) -> int:
        """P, the number of coordinates that an update rule sees."""
        return sum(self._sizes)

    def initial_state(self) -> LearnerState:
        """The model's own weights, as a state that gradients can flow from."""
        return LearnerState(
            self.flatten([v.value for v in self.model.trainable_variables]),
            tuple(tf.convert_to_tensor(v.value) for v in self.model.non_trainable_variables),
        )

    def flatten(self, tensors: list[tf.Tensor]) -> tf.Tensor:
        """Joins tensors shaped like the trainable variables into one vector [P]."""
        return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)

    def unflatten(self, vector: tf.Tensor) -> list[tf.Tensor]:
        """Splits a vector [P] into tensors shaped like the trainable variables."""
        pieces = tf.split(vector, self._sizes)
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def pack_statistics(self, statistics: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Joins the floating-point statistics, all that inference needs, into one vector [M]."""
        packed = [tf.reshape(tensor, [-1]) for tensor in statistics if tensor.dtype.is_floating]
        return tf.concat(packed, axis=0) if packed else tf.zeros([0], self.model.compute_dtype)

    def unpack_statistics(self, vector: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Undoes `pack_statistics`; what it left out (a random seed, say) is the model's own."""
        statistics, start = [], 0
        for variable in self.model.non_trainable_variables:
            value = tf.convert_to_tensor(variable.value)
            if value.dtype.is_floating:
                size = value.shape.num_elements()
                value = tf.reshape(vector[start : start + size], value.shape)
                start += size
            statistics.append(value)
        return tuple(statistics)

    def __call__(
        self, state: LearnerState, images: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Runs the model.

        Args:
            state: the weights to run with.
            images: [n, H, W, C].
            training: whether batch norm uses, and collects, the statistics of this very batch.

        Returns:
            The model's output, and the statistics after the call.
        """
        output, statistics = self.model.stateless_call(
            self.unflatten(state.parameters), list(state.statistics), images, training=training
        )
        return output, tuple(statistics)
