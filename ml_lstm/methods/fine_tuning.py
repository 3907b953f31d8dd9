"""Fine-tuning a trained network on the support set (Baseline-finetune of Ravi & Larochelle, ICLR 2017, section 5.1).

A network is trained to classify all meta-train classes jointly. For an episode it gets a new head, and all its
weights take a fixed number of gradient descent steps on the support set. A search on meta-validation episodes
finds the learning rate of these steps and its decay.
"""

import itertools
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import keras
import tensorflow as tf

from ml_lstm.episode import Problem
from ml_lstm.learners import LearnerState
from ml_lstm.methods.base import Adaptation, Statistics
from ml_lstm.methods.families.inner_loop import inner_batches, mask_logits, mean_cross_entropy, whole_batch
from ml_lstm.methods.families.joint_training import NormalizedByEpisode
from ml_lstm.options import Count, Rule, Whole

_Grid = Annotated[Sequence[float], Rule(lambda values: min(values, default=-1) >= 0, "some numbers of at least 0")]


class _Weights(NamedTuple):
    """The weights that fine-tuning changes: the network's parameters [P], and the head's kernel and bias.

    The kernel is [F, n_way], the bias [n_way].
    """

    parameters: tf.Tensor
    head_kernel: tf.Tensor
    head_bias: tf.Tensor


@keras.saving.register_keras_serializable("ml_lstm")
class FineTuning(NormalizedByEpisode):
    r"""Takes steps of gradient descent from the jointly trained network and a head of zeros.

    .. math:: \theta_t = \theta_{t-1} - \frac{\alpha}{1 + (t - 1)\,d} \nabla_t, \quad t = 1 \ldots T

    with the learning rate :math:`\alpha` and the decay :math:`d` in the variables `fine_tuning_rate` and
    `fine_tuning_decay`, which only `tune` sets. The decay is that of the authors' released code. Starting from zeros
    makes the answer independent of the order of the classes, and of chance.

    In each step batch norm normalises the support set by its own statistics. It normalises queries by the support
    set's statistics under the final weights.

    Args:
        learner, problem: see `NormalizedByEpisode`.
        inner_steps: T, the number of inner steps: updates of the network on a support set.
        inner_batch_size: number of support images in an inner step; 0: the whole support set.
        fine_tuning_rates: learning rates that `tune` tries; until then, the middle one is used.
        fine_tuning_decays: decays that `tune` tries with each rate; until then, the first one is used.
        **shared: see `NormalizedByEpisode`.

    Raises:
        ValueError: like `NormalizedByEpisode`.
    """

    def __init__(
        self,
        learner: keras.Model,
        problem: Problem,
        *,
        inner_steps: Count = 5,
        inner_batch_size: Whole = 0,
        fine_tuning_rates: _Grid = (0.01, 0.03, 0.1, 0.3, 1.0),
        fine_tuning_decays: _Grid = (0.0, 0.1, 1.0),
        **shared,
    ):
        super().__init__(learner, problem, **shared)
        self.inner_steps = inner_steps
        self.inner_batch_size = inner_batch_size
        self.fine_tuning_rates = tuple(fine_tuning_rates)
        self.fine_tuning_decays = tuple(fine_tuning_decays)
        self.fine_tuning_rate, self.fine_tuning_decay = (
            self.add_weight(
                name=name, shape=(), initializer=keras.initializers.Constant(value), trainable=False, dtype="float32"
            )
            for name, value in (
                ("fine_tuning_rate", self.fine_tuning_rates[len(self.fine_tuning_rates) // 2]),
                ("fine_tuning_decay", self.fine_tuning_decays[0]),
            )
        )

    @property
    def served_inner_steps(self) -> int:
        """See `FewShotClassifier.served_inner_steps`."""
        return self.inner_steps

    @served_inner_steps.setter
    def served_inner_steps(self, steps):
        self.inner_steps = steps

    def tune(self, episodes: tf.data.Dataset) -> dict[str, float]:
        """Sets the pair of learning rate and decay that classifies `episodes` best; see `FewShotClassifier.tune`."""
        accuracies = {}
        for rate, decay in itertools.product(self.fine_tuning_rates, self.fine_tuning_decays):
            self._take(rate, decay)
            accuracies[rate, decay] = self.evaluate(episodes, verbose=0, return_dict=True)["accuracy"]
        rate, decay = max(accuracies, key=accuracies.get)  # the first of equal ones
        self._take(rate, decay)
        return {"fine_tuning_rate": rate, "fine_tuning_decay": decay}

    def _take(self, rate, decay):
        self.fine_tuning_rate.assign(rate)
        self.fine_tuning_decay.assign(decay)

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """Fine-tunes for `inner_steps` on a support set; see `FewShotClassifier.adapt`."""
        start, support = self._network.initial_state(), self._support(support_images, support_labels)
        *_, weights = self._fine_tuned(start, support)
        # From the start, so that the statistics reflect only the final weights.
        final = LearnerState(weights.parameters, start.statistics)
        _, statistics = self._network.finish(final, support.images, training=True)
        return weights._asdict() | {
            "statistics": self._network.pack_statistics(statistics),
            "class_mask": support.mask,
        }

    def explain(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """See `FewShotClassifier.explain`; there are no gates."""
        start, support = self._network.initial_state(), self._support(support_images, support_labels)
        losses = [self._loss(weights, start.statistics, support) for weights in self._fine_tuned(start, support)]
        return {"losses": tf.cast(tf.stack(losses), tf.float32)}

    def _support(self, images, labels):
        begun, classes = self._network.begin(self.normalize(images)), self.support_classes(labels)
        return whole_batch(begun, classes, self.n_way)

    def _fine_tuned(self, start, support):
        """The weights before the first step and after each step."""
        rate, decay = (tf.cast(v, support.images.dtype) for v in (self.fine_tuning_rate, self.fine_tuning_decay))
        features, dtype = self.features_shape[-1], support.images.dtype
        weights = _Weights(start.parameters, tf.zeros([features, self.n_way], dtype), tf.zeros([self.n_way], dtype))
        yield weights
        for step, batch in enumerate(inner_batches(support, self.inner_steps, self.inner_batch_size or None)):
            gradients = self._gradients(weights, start.statistics, batch)
            step_size = rate / (1 + step * decay)
            weights = _Weights(*(w - step_size * g for w, g in zip(weights, gradients, strict=True)))
            yield weights

    def _gradients(self, weights, statistics, batch):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = self._loss(weights, statistics, batch)
        return tape.gradient(loss, list(weights), unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def _loss(self, weights, statistics, batch):
        logits = self._logits(weights, statistics, batch.images, training=True)
        return mean_cross_entropy(batch.labels, mask_logits(logits, batch.mask), batch.weights)

    def _logits(self, weights, statistics, begun, training):
        features, _ = self._network.finish(LearnerState(weights.parameters, statistics), begun, training)
        return tf.matmul(features, weights.head_kernel) + weights.head_bias

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Runs the fine-tuned network; see `FewShotClassifier.classify`."""
        weights = _Weights(*(adaptation[name] for name in _Weights._fields))
        statistics = self._network.unpack_statistics(adaptation["statistics"])
        by_queries = query_statistics == "queries"
        begun = self._network.begin(self.normalize(query_images))
        logits = self._logits(weights, statistics, begun, training=by_queries)
        return mask_logits(logits, adaptation["class_mask"])
