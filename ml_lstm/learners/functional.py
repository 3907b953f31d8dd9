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

    With `shared_head` the classes' output weights all start from one vector, the mean of those that the model
    has. So the order of classes does not matter, and there may be any number of them, more than the model has
    outputs too; P then depends on it.

    Args:
        model: any built Keras model with at least one trainable variable.
        shared_head: whether all classes start from one vector of output weights.

    Raises:
        ValueError: for a model that is not built, or has nothing to adapt, or, with `shared_head`, does not end
            in a linear Dense layer with bias.
    """

    def __init__(self, model: keras.Model, shared_head: bool = False):
        if not model.built:
            raise ValueError(f"The learner {model.name!r} is not built: call it once, or `model.build(shape)`, first.")
        if not model.trainable_variables:
            raise ValueError(f"The learner {model.name!r} has no trainable variable, so nothing can be adapted.")
        self.model = model
        self.shared_head = shared_head
        self._shapes = [tuple(v.shape) for v in model.trainable_variables]
        self._sizes = [tf.TensorShape(shape).num_elements() for shape in self._shapes]
        self._body = _without_head(model) if shared_head else model

    @property
    def num_parameters(self) -> int:
        """How many numbers the model's trainable variables hold: P, but for another number of classes."""
        return sum(self._sizes)

    def initial_state(self, n_classes: int | tf.Tensor | None = None) -> LearnerState:
        """The model's own weights, as a state that gradients can flow from.

        Args:
            n_classes: with `shared_head`, of the problem; None for the model's number of outputs.
        """
        own = self.flatten([v.value for v in self.model.trainable_variables])
        statistics = tuple(tf.convert_to_tensor(v.value) for v in self.model.non_trainable_variables)
        return LearnerState(self.spread(own, n_classes), statistics)

    def spread(self, vector: tf.Tensor, n_classes: int | tf.Tensor | None = None) -> tf.Tensor:
        """Numbers of the model's trainable variables as numbers of the learner's coordinates.

        Args:
            vector: [`num_parameters`].
            n_classes: as for `initial_state`.

        Returns:
            [P]: with `shared_head` every class has the mean of what the model's outputs have.
        """
        if not self.shared_head:
            return vector
        *body, kernel, bias = self.unflatten(vector)
        n_classes = bias.shape[0] if n_classes is None else n_classes
        head = [
            tf.repeat(tf.reduce_mean(tensor, axis=-1, keepdims=True), n_classes, axis=-1) for tensor in (kernel, bias)
        ]
        return self.flatten([*body, *head])

    def flatten(self, tensors: list[tf.Tensor]) -> tf.Tensor:
        """Joins tensors shaped like the trainable variables into one vector [P]."""
        return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)

    def unflatten(self, vector: tf.Tensor) -> list[tf.Tensor]:
        """Splits a vector [P] into tensors shaped like the trainable variables, but for the number of classes."""
        sizes, shapes = self._sizes, self._shapes
        if self.shared_head:
            *body, _, _ = sizes
            features = shapes[-2][0]
            n_classes = (tf.shape(vector)[0] - sum(body)) // (features + 1)
            if vector.shape[0] is not None:
                n_classes = (vector.shape[0] - sum(body)) // (features + 1)
            sizes = [*body, features * n_classes, n_classes]
            shapes = [*shapes[:-2], (features, n_classes), (n_classes,)]
        pieces = tf.split(vector, sizes)
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]

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
        tensors = self.unflatten(state.parameters)
        tensors, head = (tensors[:-2], tensors[-2:]) if self.shared_head else (tensors, None)
        output, statistics = self._body.stateless_call(tensors, list(state.statistics), images, training=training)
        if head:
            kernel, bias = (tf.cast(tensor, output.dtype) for tensor in head)
            output = tf.matmul(output, kernel) + bias
        return output, tuple(statistics)


def _without_head(model):
    head = model.layers[-1]
    if not (isinstance(head, keras.layers.Dense) and head.use_bias and head.activation is keras.activations.linear):
        raise ValueError(f"shared_head needs a learner that ends in a linear Dense layer with bias, not {head}.")
    body = keras.Model(model.inputs, head.input)
    wanted = [*body.trainable_variables, head.kernel, head.bias]
    if [id(v) for v in model.trainable_variables] != [id(v) for v in wanted]:
        raise ValueError(f"shared_head needs a learner whose last variables are those of its head, not {model.name!r}.")
    return body
