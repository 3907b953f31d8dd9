"""A trained method whose probabilities are rates, and that says when a query is like none of the classes it knows."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ml_lstm.methods.base import Adaptation, FewShotClassifier, Statistics


class Calibration(NamedTuple):
    """What was found on classes that the method was not trained on, with two sizes of support set.

    Attributes:
        shots: support images of each class, few and many.
        temperatures: that logits are divided by, at each.
        unfamiliarities: of queries whose class was in the support set, see `FewShotClassifier.unfamiliarity`; at each
            size as many, evenly spaced in the order of all.
    """

    shots: tuple[int, int]
    temperatures: tuple[float, float]
    unfamiliarities: tuple[tuple[float, ...], tuple[float, ...]]


@keras.saving.register_keras_serializable("ml_lstm")
class Calibrated(FewShotClassifier):
    r"""Answers as a trained method does, with its logits divided by a temperature (Guo, Pleiss, Sun & Weinberger,
    *On Calibration of Modern Neural Networks*, ICML 2017), and says how familiar a query is.

    Familiarity is a conformal p-value (Vovk, Gammerman & Shafer, *Algorithmic Learning in a Random World*, 2005): with
    the unfamiliarities :math:`u_1, \dots, u_n` of queries whose class was in the support set,

    .. math:: p(x) = \frac{1 + |\{i : u_i \ge u(x)\}|}{n + 1}

    It is the share of such queries that look at least as strange. Who takes queries below 0.05 for something else is
    wrong about 5 % of those that are not, as far as support set and queries are like those it was calibrated on.

    Temperature and unfamiliarities depend on how many images a class has in the support set, on average over its
    classes. Between the two numbers that were tried they are interpolated along its logarithm; beyond, they stay.

    Args:
        method: trained.
        calibration: of it.
    """

    trains = False

    def __init__(self, method: FewShotClassifier, calibration: Calibration):
        super().__init__(method.problem, name=method.name, dtype=method.dtype_policy)
        self.method = method
        self.calibration = Calibration(*calibration)
        self.built = True

    @property
    def most_classes(self) -> int | None:
        """See `FewShotClassifier.most_classes`."""
        return self.method.most_classes

    @property
    def served_inner_steps(self) -> int | None:
        """See `FewShotClassifier.served_inner_steps`."""
        return self.method.served_inner_steps

    @served_inner_steps.setter
    def served_inner_steps(self, steps):
        self.method.served_inner_steps = steps

    def adapt(self, support_images, support_labels, training: bool = False) -> Adaptation:
        """That of the method, and `shots` float32 [1]; see `FewShotClassifier.adapt`."""
        classes, labels = tf.unique(self.method.support_classes(support_labels))
        shots = tf.cast(tf.size(labels), tf.float32) / tf.cast(tf.size(classes), tf.float32)
        return self.method.adapt(support_images, support_labels, training) | {"shots": shots[None]}

    def explain(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """That of the method; see `FewShotClassifier.explain`."""
        return self.method.explain(support_images, support_labels)

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Logits whose softmax are rates; see `FewShotClassifier.classify`."""
        logits = self.method.classify(adaptation, query_images, query_statistics)
        return logits / tf.cast(self._temperature(adaptation), logits.dtype)

    def unfamiliarity(self, adaptation: Adaptation, logits: tf.Tensor) -> tf.Tensor:
        """That of the method; see `FewShotClassifier.unfamiliarity`."""
        return self.method.unfamiliarity(adaptation, logits * tf.cast(self._temperature(adaptation), logits.dtype))

    def familiarity(self, adaptation: Adaptation, logits: tf.Tensor) -> tf.Tensor:
        """As above; see `FewShotClassifier.familiarity`."""
        known = self._between(adaptation, self.calibration.unfamiliarities)
        strange = tf.cast(self.unfamiliarity(adaptation, logits), tf.float32)
        as_strange = tf.reduce_sum(tf.cast(known >= strange[:, None], tf.float32), axis=1)
        return (1.0 + as_strange) / (1.0 + known.shape[0])

    def _temperature(self, adaptation):
        return tf.exp(self._between(adaptation, np.log(self.calibration.temperatures)))

    def _between(self, adaptation, values):
        """Of two values, for few shots and for many, what is in force for an adaptation."""
        few, many = np.log(self.calibration.shots)
        share = tf.clip_by_value((tf.math.log(adaptation["shots"][0]) - few) / (many - few), 0.0, 1.0)
        return (1.0 - share) * tf.constant(values[0], tf.float32) + share * tf.constant(values[1], tf.float32)

    def get_config(self):
        """See `keras.layers.Layer.get_config`."""
        own = {"method": keras.saving.serialize_keras_object(self.method), "calibration": list(self.calibration)}
        return {"name": self.name} | own

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["method"]), config["calibration"])


def fitted_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature under which labels are most probable, of those from 1/1000 to 1000 in steps of 2 %.

    Args:
        logits: [n, K].
        labels: int [n].
    """
    temperatures = np.geomspace(1e-3, 1e3, 698)
    losses = [_cross_entropy(logits / temperature, labels) for temperature in temperatures]
    return float(temperatures[np.argmin(losses)])


def _cross_entropy(logits, labels):
    logits = logits - logits.max(axis=1, keepdims=True)
    of_labels = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - of_labels)
