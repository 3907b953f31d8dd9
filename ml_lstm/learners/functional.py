"""A built Keras model as a pure function of one flat parameter vector."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ml_lstm.learners.embedding import embedding
from ml_lstm.learners.freezing import split_at_frozen
from ml_lstm.learners.randomness import seed_states
from ml_lstm.learners.requirements import refuse_unadaptable, refuse_unbuilt
from ml_lstm.learners.structure import is_graph, last_layer
from ml_lstm.learners.variables import averages, by_layer


class LearnerState(NamedTuple):
    """The state of a learner inside an episode.

    It excludes frozen weights, which are the model's own in every episode.

    Attributes:
        parameters: [P], the trainable variables, flattened and joined in the order of `trainable_variables`.
        statistics: one tensor for each running average of batch norm, followed by the states of random layers.
    """

    parameters: tf.Tensor
    statistics: tuple[tf.Tensor, ...]


class FunctionalLearner:
    """Calls a Keras model with the weights of a `LearnerState` instead of its own.

    No call reads or writes the model's variables: two episodes can run at the same time, and gradients flow to the
    operations that computed the state.

    Random layers (Dropout) start from constants, which depend on their place in the model, and continue from step to
    step. They draw the same numbers in every episode, so an adaptation depends only on its support set, before and
    after saving. Only in meta-training does each meta-step have its own numbers (`randomness.meta_training`).

    A layer with `trainable=False` is constant, as everywhere in Keras: its weights are neither parameters nor
    statistics, and its batch norm, `EpisodicBatchNormalization` too, normalises by its current averages. The output of
    frozen layers at the start of the model can be computed once for many calls: `begin`, then `finish`.

    With `shared_head`, the output weights of all classes start from one vector, the mean of the model's own. So the
    order of classes does not matter, and there may be any number of classes, even more than the model's outputs; P
    then depends on that number.

    Args:
        model: any built Keras model with at least one trainable variable.
        shared_head: whether all classes start from one vector of output weights.
        may_be_frozen: whether a model without trainable variables is allowed.

    Raises:
        ValueError: for a model that is not built or has nothing to adapt; and, with `shared_head`, for one that does
            not end in a linear Dense layer with bias.
    """

    def __init__(self, model: keras.Model, shared_head: bool = False, may_be_frozen: bool = False):
        (refuse_unbuilt if may_be_frozen else refuse_unadaptable)(model)
        self.model = model
        self.shared_head = shared_head
        self._shapes = [tuple(v.shape) for v in model.trainable_variables]
        self._sizes = [tf.TensorShape(shape).num_elements() for shape in self._shapes]
        self._averages = averages(model)
        self._changing = [*self._averages, *(variable for variable, _ in seed_states(model))]
        changing = {id(v) for v in self._changing}
        self._constants = [v for v in model.non_trainable_variables if id(v) not in changing]
        self._body = _without_head(model) if shared_head else model
        self._beginning, rest = split_at_frozen(self._body)
        self._run = _without_name(rest) if rest else lambda features, training: features

    @property
    def layer_names(self) -> list[str]:
        """The names of the L layers that have trainable variables."""
        return list(by_layer(self.model))

    def layer_means(self, vector: tf.Tensor) -> tf.Tensor:
        """The mean over each layer, [L], of values for the learner's coordinates [P]."""
        tensors = [tf.reshape(tensor, [-1]) for tensor in self.unflatten(vector)]
        layers = by_layer(self.model).values()
        return tf.stack([tf.reduce_mean(tf.concat([tensors[i] for i in indices], axis=0)) for indices in layers])

    def layer_coordinates(self, count: int) -> dict[str, np.ndarray]:
        """The indices of each layer's coordinates, int [n], by the layer's name.

        Args:
            count: P; with `shared_head` it depends on the number of classes.
        """
        tensors = [tensor.numpy().ravel() for tensor in self.unflatten(tf.range(count))]
        layers = by_layer(self.model).items()
        return {name: np.concatenate([tensors[i] for i in indices]) for name, indices in layers}

    @property
    def num_parameters(self) -> int:
        """The number of values in the model's trainable variables: P, for the model's own number of classes."""
        return sum(self._sizes)

    def initial_state(self, n_classes: int | tf.Tensor | None = None) -> LearnerState:
        """The model's own weights, as a state that gradients can flow from.

        Args:
            n_classes: the problem's number of classes, with `shared_head`; None for the model's number of outputs.
        """
        self._show_constants()
        own = self.flatten([v.value for v in self.model.trainable_variables])
        statistics = tuple(tf.convert_to_tensor(v.value) for v in self._averages)
        return LearnerState(self.spread(own, n_classes), (*statistics, *self._first_seed_states()))

    def _show_constants(self):
        # A read that TensorFlow records in the list of variables that a function needs: an export saves this list.
        for variable in self._constants:
            tf.convert_to_tensor(variable.value)

    def _first_seed_states(self):
        return tuple(first for _, first in seed_states(self.model))

    def spread(self, vector: tf.Tensor, n_classes: int | tf.Tensor | None = None) -> tf.Tensor:
        """Maps values for the model's trainable variables to the learner's coordinates.

        Args:
            vector: [`num_parameters`].
            n_classes: as for `initial_state`.

        Returns:
            [P]; with `shared_head` every class has the mean over the model's outputs.
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
        if not tensors:
            return tf.zeros([0], self.model.compute_dtype)
        return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)

    def unflatten(self, vector: tf.Tensor) -> list[tf.Tensor]:
        """Splits a vector [P] into tensors shaped like the trainable variables, except for the number of classes."""
        sizes, shapes = self._sizes, self._shapes
        if self.shared_head:
            *body, _, _ = sizes
            features = shapes[-2][0]
            n_classes = (tf.shape(vector)[0] - sum(body)) // (features + 1)
            if vector.shape[0] is not None:
                n_classes = (vector.shape[0] - sum(body)) // (features + 1)
            sizes = [*body, features * n_classes, n_classes]
            shapes = [*shapes[:-2], (features, n_classes), (n_classes,)]
        pieces = tf.split(vector, sizes) if sizes else []
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def pack_statistics(self, statistics: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Joins the running averages, the only statistics that inference needs, into one vector [M]."""
        packed = [tf.reshape(tensor, [-1]) for tensor in statistics[: len(self._averages)]]
        return tf.concat(packed, axis=0) if packed else tf.zeros([0], self.model.compute_dtype)

    def unpack_statistics(self, vector: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Reverses `pack_statistics`; the states of random layers, which it omits, are those of `initial_state`."""
        self._show_constants()
        statistics, start = [], 0
        for variable in self._averages:
            shape = tf.TensorShape(variable.shape)
            size = shape.num_elements()
            statistics.append(tf.reshape(vector[start : start + size], shape))
            start += size
        return (*statistics, *self._first_seed_states())

    def begin(self, images: tf.Tensor) -> tf.Tensor:
        """Runs the layers before the first one that an episode can change.

        Args:
            images: [n, H, W, C].

        Returns:
            [n, ...], for `finish`; the images themselves if no layer is frozen there.
        """
        if self._beginning is None:
            return images
        with keras.StatelessScope([(variable, _unwatched(variable)) for variable in self._beginning.variables]):
            return self._beginning(images, training=False)

    def __call__(
        self, state: LearnerState, images: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Runs the model on images [n, H, W, C]: `begin` and `finish`."""
        return self.finish(state, self.begin(images), training)

    def finish(
        self, state: LearnerState, features: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Runs the rest of the model.

        Args:
            state: the weights to run with.
            features: [n, ...], from `begin`.
            training: whether batch norm uses and collects the statistics of this batch, and random layers are
                active.

        Returns:
            The model's output, and the statistics after the call.
        """
        tensors = self.unflatten(state.parameters)
        tensors, head = (tensors[:-2], tensors[-2:]) if self.shared_head else (tensors, None)
        values = [
            *zip(self._body.trainable_variables, tensors, strict=True),
            *zip(self._changing, state.statistics, strict=True),
            *((variable, _unwatched(variable)) for variable in self._constants),
        ]
        with keras.StatelessScope(values) as scope:
            output = self._run(features, training=training)
        if head:
            kernel, bias = (tf.cast(tensor, output.dtype) for tensor in head)
            output = tf.matmul(output, kernel) + bias
        return output, tuple(scope.get_current_value(variable) for variable in self._changing)


def _without_name(model):
    """The function to call for a model's output: its `call` if Keras knows the order of its layers.

    `__call__` prefixes the operations' names with the model's name. TensorFlow's optimizer adds gradients up in an
    order that depends on names, so the last bits would change.
    """
    return model.call if is_graph(model) else model


def _unwatched(variable):
    """The value of a frozen variable, read without recording it on a gradient tape.

    TensorFlow still treats the variable as trainable after Keras has frozen it, and `tf.custom_gradient` rejects
    functions that read trainable variables.
    """
    value = variable.value
    if isinstance(value, tf.distribute.DistributedValues) and tf.distribute.in_cross_replica_context():
        value = value.distribute_strategy.experimental_local_results(value)[0]
    return tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)


def _without_head(model):
    head = last_layer(model)
    if not (isinstance(head, keras.layers.Dense) and head.use_bias and head.activation is keras.activations.linear):
        raise ValueError(f"shared_head needs a learner that ends in a linear Dense layer with bias, not {head}.")
    body = embedding(model)
    wanted = [*body.trainable_variables, head.kernel, head.bias]
    if [id(v) for v in model.trainable_variables] != [id(v) for v in wanted]:
        raise ValueError(f"shared_head needs a learner whose last variables are those of its head, not {model.name!r}.")
    return body
