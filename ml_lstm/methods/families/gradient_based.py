"""The base class of methods that adapt a network to the support set by gradient steps."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import keras
import tensorflow as tf

from ml_lstm.episode import Episode, Problem
from ml_lstm.learners import (
    FunctionalLearner,
    LearnerState,
    freeze_batch_norm,
    in_dtype_of,
    in_meta_training,
    refuse_wrong_second_derivatives,
    require_logits,
    take_momentum,
)
from ml_lstm.methods.base import Adaptation, FewShotClassifier, Statistics
from ml_lstm.methods.families.inner_loop import (
    InnerBatch,
    class_mask,
    inner_batches,
    mask_logits,
    mean_cross_entropy,
    whole_batch,
)
from ml_lstm.methods.families.recompute import Recomputed
from ml_lstm.options import FREE, Count, Share, Whole


class InnerStep(NamedTuple):
    """The result of one update of the learner.

    Attributes:
        learner: the state after the update.
        loss: of the mini-batch before the update, a scalar in nats.
        watched: values to plot as histograms during training, by name, each [P].
    """

    learner: LearnerState
    loss: tf.Tensor
    watched: dict[str, tf.Tensor] = {}  # noqa: RUF012


class GradientBasedClassifier(FewShotClassifier):
    """A network whose weights are learned so that a few gradient steps adapt it; subclasses define the update rule.

    The steps follow the gradient of the support set's mean cross-entropy. Each class has the same weight in it, even
    if shots differ, see `balanced_weights`.

    Args:
        learner: the network to adapt, a built Keras model from images to logits, with at least the problem's `n_way`
            outputs; its weights are the learned initialisation.
        problem: see `FewShotClassifier`.
        inner_steps: T, the number of inner steps: updates of the network on a support set.
        eval_inner_steps: number of inner steps in evaluation and when served; 0: as in meta-training.
        inner_batch_size: number of support images in an inner step; 0: the whole support set.
        second_order: whether the meta-gradient also goes through the learner's gradients and losses, instead of
            treating them as constants.
        several_step_loss: number of meta-steps until meta-training minimises the queries' loss after the last inner
            step only; before, it minimises a mean of the losses after each step, whose weights move evenly from 1/T
            each to the last alone (multi-step loss, Antoniou et al., How to Train Your MAML, ICLR 2019).
        query_statistics: statistics that batch norm uses for queries in meta-training: batch, their own, or support,
            the averages of the support set, as when served.
        final_statistics: whether batch norm's averages include one more pass over the support set with the final
            parameters; else their newest batch is from the last step, before its update.
        shared_head: whether the output weights of all classes start from one learned vector, so that the order
            of classes does not matter and any number of classes is possible; the learner must end in a Dense
            layer.
        recompute_inner_steps: whether the meta-gradient computes each inner step's loss and gradient again, instead of
            keeping its intermediate values: much less memory with `second_order` and many steps, for a little more
            time. A run can continue with another value.
        batch_norm_momentum: weight of the newest batch in the averages of an episode, for layers of the learner
            without a momentum of their own.
        frozen_batch_norm: whether batch norm normalises by the averages that the network starts with, for example from
            `initial_weights`, so that images do not affect each other; averages, scales and shifts then stay constant.
            Else each episode has its own averages, from its support set.

    Raises:
        ValueError: for an option out of range, or a learner that does not fit.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        inner_steps: Count = 5,
        eval_inner_steps: Whole = 0,
        inner_batch_size: Whole = 0,
        second_order: bool = False,
        several_step_loss: Whole = 0,
        query_statistics: Literal["batch", "support"] = "batch",
        final_statistics: bool = False,
        shared_head: bool = False,
        recompute_inner_steps: Annotated[bool, FREE] = False,
        batch_norm_momentum: Share = 0.9,
        frozen_batch_norm: bool = False,
        **kwargs,
    ):
        if frozen_batch_norm:
            freeze_batch_norm(learner)
        outputs = require_logits(learner, problem.image_shape)
        if outputs < problem.n_way and not shared_head:
            raise ValueError(
                f"The learner {learner.name!r} has outputs for {outputs} classes, and the problem has "
                f"{problem.n_way}: make it wider, or give shared_head."
            )
        if second_order:
            refuse_wrong_second_derivatives(learner)
        super().__init__(problem._replace(n_way=outputs), **in_dtype_of(learner, kwargs))
        take_momentum(learner, batch_norm_momentum)
        self.learner = learner
        self.inner_steps = inner_steps
        self.eval_inner_steps = eval_inner_steps
        self.inner_batch_size = inner_batch_size
        self.second_order = second_order
        self.several_step_loss = several_step_loss
        self.query_statistics = query_statistics
        self.final_statistics = final_statistics
        self.shared_head = shared_head
        self.recompute_inner_steps = recompute_inner_steps
        self.batch_norm_momentum = batch_norm_momentum
        self.frozen_batch_norm = frozen_batch_norm
        self._recomputed_inner_gradient = Recomputed(self._inner_gradient, [])
        self.network = FunctionalLearner(learner, shared_head)

    @property
    def most_classes(self) -> int | None:
        """See `FewShotClassifier.most_classes`."""
        return None if self.shared_head else self.n_way

    @property
    def served_inner_steps(self) -> int:
        """See `FewShotClassifier.served_inner_steps`."""
        return self.eval_inner_steps or self.inner_steps

    @served_inner_steps.setter
    def served_inner_steps(self, steps):
        self.eval_inner_steps = steps

    def prepare(self, images) -> tf.Tensor:
        """The output [n, ...] of the learner's frozen beginning for images [n, H, W, C], once for all inner steps."""
        return self.network.begin(self.normalize(images))

    def updates(
        self, learner: LearnerState, batches: Iterator[InnerBatch], n_classes: int | tf.Tensor, training: bool
    ) -> Iterator[InnerStep]:
        """Updates the learner once for each batch.

        Args:
            learner: the state before the first update.
            batches: of the support set.
            n_classes: K, of the problem.
            training: as for `adapt`.

        Yields:
            The result of each update; the last one has the adapted learner.
        """
        raise NotImplementedError

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Updates the learner `inner_steps` times; see `FewShotClassifier.adapt`."""
        images, labels = self.prepare(support_images), self.support_classes(support_labels)
        *_, last = self.steps(images, labels, training)
        return self._adaptation(last.learner, images, labels, training)

    def _adaptation(self, learner, images, labels, training):
        statistics = learner.statistics
        if self.final_statistics:
            _, statistics = self.network.finish(learner, images, training=True)
        return {
            "parameters": learner.parameters,
            "statistics": self.network.pack_statistics(statistics),
            "class_mask": class_mask(labels, self._n_classes(labels, training)),
        }

    def episode_loss(
        self, episode: Episode, training: bool, query_statistics: Statistics = "support"
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The queries' loss, in meta-training with `several_step_loss` a mean; see `FewShotClassifier.episode_loss`."""
        if not (training and self.several_step_loss):
            return super().episode_loss(episode, training, query_statistics)
        images, labels = self.prepare(episode.support_images), self.support_classes(episode.support_labels)
        queries = self.prepare(episode.query_images)
        losses = []
        for step in self.steps(images, labels, training):
            adaptation = self._adaptation(step.learner, images, labels, training)
            logits = self._logits(adaptation, queries, self.training_statistics)
            losses.append(mean_cross_entropy(episode.query_labels, logits))
        return tf.tensordot(self._step_weights(losses[0].dtype), tf.stack(losses), axes=1), logits

    def _step_weights(self, dtype):
        """Weights [T] of the losses after each inner step, at this meta-step of the compiled optimizer."""
        done = tf.cast(self.optimizer.iterations, dtype) / self.several_step_loss
        others = tf.fill([self.inner_steps - 1], tf.nn.relu(1 - done) / self.inner_steps)
        return tf.concat([others, [1 - tf.reduce_sum(others)]], axis=0)

    @property
    def training_statistics(self) -> Statistics:
        """See `FewShotClassifier.training_statistics`."""
        return "queries" if self.query_statistics == "batch" else "support"

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Runs the adapted learner; see `FewShotClassifier.classify`."""
        return self._logits(adaptation, self.prepare(query_images), query_statistics)

    def _logits(self, adaptation, queries, query_statistics):
        """Logits [Q, K] of prepared queries."""
        statistics = self.network.unpack_statistics(adaptation["statistics"])
        state = LearnerState(adaptation["parameters"], statistics)
        logits, _ = self.network.finish(state, queries, training=query_statistics == "queries")
        return mask_logits(logits, adaptation["class_mask"])

    def explain(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """See `FewShotClassifier.explain`; losses use batch norm's statistics of the support set, as in a step."""
        images, labels = self.prepare(support_images), self.support_classes(support_labels)
        steps = list(self.steps(images, labels, training=False))
        n_classes = self._n_classes(labels, training=False)
        support = whole_batch(images, labels, n_classes)
        states = [self.network.initial_state(n_classes), *(step.learner for step in steps)]
        losses = [tf.cast(self._loss(state, support)[0], tf.float32) for state in states]
        return {"losses": tf.stack(losses)} | self._gates_by_layer(steps)

    def _gates_by_layer(self, steps):
        gates = [self.input_and_forget(step) for step in steps]
        if None in gates:
            return {}
        means = [[tf.cast(self.network.layer_means(gate), tf.float32) for gate in both] for both in gates]
        input_gates, forget_gates = zip(*means, strict=True)
        return {
            "layers": tf.constant(self.network.layer_names),
            "input_gates": tf.stack(input_gates),
            "forget_gates": tf.stack(forget_gates),
        }

    def input_and_forget(self, step: InnerStep) -> tuple[tf.Tensor, tf.Tensor] | None:
        """See `UpdateRule.input_and_forget`; None for a method without gates."""
        return None

    def gates(self, support_images, support_labels) -> tuple[tf.Tensor, tf.Tensor] | None:
        """The input and the forget gates of each parameter in each step, see `UpdateRule.input_and_forget`.

        Args:
            support_images, support_labels: as for `adapt`.

        Returns:
            Input gates and forget gates, [T, P] each; None for a method without gates.
        """
        images, labels = self.prepare(support_images), self.support_classes(support_labels)
        gates = [self.input_and_forget(step) for step in self.steps(images, labels, training=False)]
        if None in gates:
            return None
        input_gates, forget_gates = zip(*gates, strict=True)
        return tf.stack(input_gates), tf.stack(forget_gates)

    def diagnostics(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """The inner losses [T], and the values that the update rule provides, each [T, P]."""
        images, labels = self.prepare(support_images), self.support_classes(support_labels)
        steps = list(self.steps(images, labels, training=False))
        return {
            "inner_loss": tf.stack([step.loss for step in steps]),
            **{name: tf.stack([step.watched[name] for step in steps]) for name in steps[0].watched},
        }

    def inner_gradient(
        self, state: LearnerState, batch: InnerBatch
    ) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...]]:
        """Loss, gradient [P] and new statistics of the learner on a mini-batch, constant unless `second_order`."""
        if self.recompute_inner_steps:
            # The flag makes TensorFlow trace meta-training separately, as random layers behave differently there.
            return self._recomputed_inner_gradient([], state, constants=(batch, in_meta_training()))
        return self._inner_gradient(state, batch)

    def _inner_gradient(self, state, batch, _in_meta_training=None):
        with tf.GradientTape() as tape:
            tape.watch(state.parameters)
            loss, statistics = self._loss(state, batch)
        gradient = tape.gradient(loss, state.parameters)
        if not self.second_order:
            loss, gradient = tf.stop_gradient(loss), tf.stop_gradient(gradient)
        return loss, gradient, statistics

    def _loss(self, state, batch):
        logits, statistics = self.network.finish(state, batch.images, training=True)
        return mean_cross_entropy(batch.labels, mask_logits(logits, batch.mask), batch.weights), statistics

    def steps(self, images: tf.Tensor, labels: tf.Tensor, training: bool) -> Iterator[InnerStep]:
        """The inner loop, step by step.

        Args:
            images: [S, ...], see `prepare`.
            labels: int32 [S].
            training: as for `adapt`.
        """
        n_classes = self._n_classes(labels, training)
        support = whole_batch(images, labels, n_classes)
        steps = self.inner_steps if training else self.served_inner_steps
        batches = inner_batches(support, steps, self.inner_batch_size or None)
        return self.updates(self.network.initial_state(n_classes), batches, n_classes, training)

    def _n_classes(self, labels, training):
        # In meta-training a number known in advance: shapes that depend on data cannot be compiled.
        return tf.reduce_max(labels) + 1 if self.shared_head and not training else self.n_way
