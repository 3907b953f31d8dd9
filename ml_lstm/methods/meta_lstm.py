"""The LSTM meta-learner (Ravi & Larochelle, Optimization as a Model for Few-Shot Learning, ICLR 2017).

A network is adapted to a support set by T steps of a learned optimizer. At step t the network's loss and
gradient on a mini-batch of the support set are preprocessed, read by an LSTM that runs over each parameter
on its own, and turned by an update rule (`ml_lstm.cells`) into the next parameters. The update rule, the
LSTM and the network's initial weights are trained together to make the adapted network right about queries.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ml_lstm.cells import (
    CompleteLSTMCell,
    GRUCell,
    MetaLSTMCell,
    MetaSGDCell,
    SGDCell,
    TurtleCell,
    UpdateInputs,
    UpdateRule,
    update_features,
)
from ml_lstm.cells.preprocessing import NUM_FEATURES
from ml_lstm.learners import LEARNERS, FunctionalLearner, LearnerState
from ml_lstm.methods.base import Adaptation, FewShotClassifier
from ml_lstm.methods.inner_loop import class_mask, inner_batch_indices, mask_logits, mean_cross_entropy

CELLS = {
    "meta_lstm": MetaLSTMCell,
    "complete_lstm": CompleteLSTMCell,
    "gru": GRUCell,
    "sgd": SGDCell,
    "meta_sgd": MetaSGDCell,
    "turtle": TurtleCell,
}
QUERY_STATISTICS = ("batch", "support")


class _InnerStep(NamedTuple):
    """What one update of the learner leaves behind."""

    learner: LearnerState
    cell: tuple[tf.Tensor, ...]
    loss: tf.Tensor


@keras.saving.register_keras_serializable("ml_lstm")
class MetaLSTM(FewShotClassifier):
    """Meta-learns a network's initial weights and the optimizer that adapts it.

    Args:
        learner: the network to adapt, a built Keras model from images to `n_way` logits; its weights are
            the learned initialisation.
        cell: the update rule; None for a `MetaLSTMCell()`.
        hidden_units: of the coordinate-wise LSTM in front of the update rule; 0 for none, None for as many as the
            rule has by default.
        inner_steps: T, updates of the learner in an episode.
        inner_batch_size: support examples a step; None for all.
        inner_gradient_scale: factor on the learner's gradient before the update rule sees it. The authors'
            code divides its mean gradient once more by the batch size.
        second_order: whether the meta-gradient goes through the learner's gradients and losses too
            (Huisman et al. 2022) rather than holding them constant (section 3.3.1 of the paper).
        query_statistics: what batch norm uses for queries in meta-training: `"batch"`, the queries' own
            (section 3.4 of the paper), or `"support"`, the averages of the support set, as when served.
        final_statistics: whether batch norm's averages take in the support set once more under the final
            parameters; else the newest that they know is the step before.
        shared_head: whether the classes' output weights all start from one learned vector, their mean, so
            that the order of classes does not matter; the learner must end in a Dense layer.
        image_mean: see `FewShotClassifier`.
        image_std: see `FewShotClassifier`.

    Raises:
        ValueError: for a number below its range, another `query_statistics`, an LSTM in front of a rule that takes
            none, or a learner that does not fit.
    """

    def __init__(
        self,
        learner: keras.Model,
        cell: UpdateRule | None = None,
        hidden_units: int | None = None,
        inner_steps: int = 5,
        inner_batch_size: int | None = None,
        inner_gradient_scale: float = 1.0,
        second_order: bool = False,
        query_statistics: str = "batch",
        final_statistics: bool = False,
        shared_head: bool = False,
        image_mean: float | list[float] = 0.0,
        image_std: float | list[float] = 1.0,
        **kwargs,
    ):
        if len(learner.output_shape) != 2:
            raise ValueError(f"The learner's output must be [n, n_way], got {learner.output_shape}.")
        super().__init__(learner.output_shape[-1], image_mean, image_std, **kwargs)
        cell = cell or MetaLSTMCell()
        if hidden_units is None:
            hidden_units = cell.default_hidden_units
        for name, value, least in (
            ("hidden_units", hidden_units, 0),
            ("inner_steps", inner_steps, 1),
            ("inner_batch_size", inner_batch_size or 1, 1),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        if hidden_units and not cell.default_hidden_units:
            raise ValueError(f"{type(cell).__name__} takes no LSTM: hidden_units must be 0, got {hidden_units}.")
        if query_statistics not in QUERY_STATISTICS:
            raise ValueError(f"query_statistics must be one of {QUERY_STATISTICS}, got {query_statistics!r}.")
        if shared_head and not isinstance(learner.layers[-1], keras.layers.Dense):
            raise ValueError(f"shared_head needs a learner that ends in Dense, not {learner.layers[-1]}.")
        self.learner = learner
        self.cell = cell
        self.hidden_units = hidden_units
        self.inner_steps = inner_steps
        self.inner_batch_size = inner_batch_size
        self.inner_gradient_scale = inner_gradient_scale
        self.second_order = second_order
        self.query_statistics = query_statistics
        self.final_statistics = final_statistics
        self.shared_head = shared_head
        self._network = FunctionalLearner(learner)
        small = keras.initializers.RandomUniform(-0.01, 0.01)
        self.coordinate_lstm = hidden_units and keras.layers.LSTMCell(
            hidden_units,
            kernel_initializer=small,
            recurrent_initializer=small,
            bias_initializer=small,
            unit_forget_bias=False,
            dtype=self.dtype_policy,
        )
        self._build_parts()

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], image_shape: tuple[int, int, int], **normalization):
        """Builds the method that the commands' flags describe; see `FewShotClassifier.from_flags`."""
        n_way = max(flags["n_way"], flags["train_n_way"])
        learner = LEARNERS[flags["learner"]](image_shape, n_way, flags["filters"], flags["batch_norm_momentum"])
        return cls(
            learner,
            CELLS[flags["cell"]].from_flags(flags),
            hidden_units=flags["hidden_units"],
            inner_steps=flags["inner_steps"],
            inner_batch_size=flags["inner_batch_size"] or None,
            inner_gradient_scale=flags["inner_gradient_scale"],
            second_order=flags["second_order"],
            query_statistics=flags["query_statistics"],
            final_statistics=flags["final_statistics"],
            shared_head=flags["shared_head"],
            **normalization,
        )

    def _build_parts(self):
        coordinates = self._network.num_parameters
        if self.coordinate_lstm:
            self.coordinate_lstm.build((coordinates, NUM_FEATURES))
        features = (coordinates, self.hidden_units or NUM_FEATURES)
        if not self.cell.built:  # built already, when it comes from a saved model
            self.cell.build((features, (coordinates,)))
        self.built = True

    def initial_state(self) -> LearnerState:
        """The learned initialisation theta_0, with batch-norm averages of no episode yet."""
        state = self._network.initial_state()
        if not self.shared_head:
            return state
        head = {id(variable) for variable in self.learner.layers[-1].trainable_variables}
        tensors = [
            tf.broadcast_to(tf.reduce_mean(tensor, axis=-1, keepdims=True), tensor.shape)
            if id(variable) in head
            else tensor
            for variable, tensor in zip(
                self.learner.trainable_variables, self._network.unflatten(state.parameters), strict=True
            )
        ]
        return state._replace(parameters=self._network.flatten(tensors))

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Runs the learned optimizer for `inner_steps` on a support set; see `FewShotClassifier.adapt`."""
        *_, (adapted, _, _) = self._unroll(support_images, support_labels)
        statistics = adapted.statistics
        if self.final_statistics:
            _, statistics = self._network(adapted, self.normalize(support_images), training=True)
        return {
            "parameters": adapted.parameters,
            "statistics": self._network.pack_statistics(statistics),
            "class_mask": class_mask(tf.cast(support_labels, tf.int32), self.n_way),
        }

    def diagnostics(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """The inner losses [T] and the cell's gates, if it has some, each [T, P]."""
        steps = list(self._unroll(support_images, support_labels))
        gates = [self.cell.gates(step.cell) for step in steps]
        return {
            "inner_loss": tf.stack([step.loss for step in steps]),
            **{name: tf.stack([values[name] for values in gates]) for name in gates[0]},
        }

    def _unroll(self, support_images, support_labels) -> Iterator[_InnerStep]:
        images, labels = self.normalize(support_images), tf.cast(support_labels, tf.int32)
        mask = class_mask(labels, self.n_way)
        learner_state = self.initial_state()
        cell_state = self.cell.get_initial_state(learner_state.parameters)
        lstm_state = None
        if self.coordinate_lstm:
            zeros = tf.zeros([self._network.num_parameters, self.hidden_units], images.dtype)
            lstm_state = [zeros, zeros]
        for indices in inner_batch_indices(labels, self.inner_steps, self.inner_batch_size):
            batch = (images, labels) if indices is None else (tf.gather(images, indices), tf.gather(labels, indices))
            loss, gradient, statistics = self._inner_gradient(learner_state, *batch, mask)
            features = update_features(loss, gradient) if self.cell.reads_features else None
            if self.coordinate_lstm:
                features, lstm_state = self.coordinate_lstm(features, lstm_state)
            parameters, cell_state = self.cell(UpdateInputs(features, gradient), cell_state)
            learner_state = LearnerState(parameters, statistics)
            yield _InnerStep(learner_state, cell_state, loss)

    def _inner_gradient(self, state, images, labels, mask):
        with tf.GradientTape() as tape:
            tape.watch(state.parameters)
            logits, statistics = self._network(state, images, training=True)
            loss = mean_cross_entropy(labels, mask_logits(logits, mask))
        gradient = tape.gradient(loss, state.parameters) * self.inner_gradient_scale
        if not self.second_order:
            loss, gradient = tf.stop_gradient(loss), tf.stop_gradient(gradient)
        return loss, gradient, statistics

    def classify(self, adaptation: Adaptation, query_images, training: bool = False) -> tf.Tensor:
        """Runs the adapted learner; see `FewShotClassifier.classify`."""
        statistics = self._network.unpack_statistics(adaptation["statistics"])
        state = LearnerState(adaptation["parameters"], statistics)
        by_batch = self.transductive or (training and self.query_statistics == "batch")
        logits, _ = self._network(state, self.normalize(query_images), training=by_batch)
        return mask_logits(logits, adaptation["class_mask"])

    def get_config(self):
        names = (
            "hidden_units",
            "inner_steps",
            "inner_batch_size",
            "inner_gradient_scale",
            "second_order",
            "query_statistics",
            "final_statistics",
            "shared_head",
            "image_mean",
            "image_std",
        )
        return super().get_config() | {
            "learner": keras.saving.serialize_keras_object(self.learner),
            "cell": keras.saving.serialize_keras_object(self.cell),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config):
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("learner", "cell")}
        return cls(**config | parts)
