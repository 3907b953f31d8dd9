"""Calibration: a trained method's probabilities become frequencies, and it reports queries unlike all its classes."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ml_lstm.methods.base import Adaptation, FewShotClassifier, Statistics


class Calibration(NamedTuple):
    """Results of a calibration on classes that the method was not trained on, with two sizes of support set.

    Attributes:
        shots: support images of each class, few and many.
        temperatures: the divisors of the logits, one for each number of shots.
        unfamiliarities: of queries whose class was in the support set, see `FewShotClassifier.unfamiliarity`; equally
            many for each number of shots, evenly spaced in the sorted list of all.
    """

    shots: tuple[int, int]
    temperatures: tuple[float, float]
    unfamiliarities: tuple[tuple[float, ...], tuple[float, ...]]


@keras.saving.register_keras_serializable("ml_lstm")
class Calibrated(FewShotClassifier):
    r"""Answers like a trained method, with its logits divided by a temperature, and reports how familiar a query is.

    The temperature is that of Guo, Pleiss, Sun & Weinberger, *On Calibration of Modern Neural Networks*, ICML 2017.

    Familiarity is a conformal p-value (Vovk, Gammerman & Shafer, *Algorithmic Learning in a Random World*, 2005): with
    the unfamiliarities :math:`u_1, \dots, u_n` of queries whose class was in the support set,

    .. math:: p(x) = \frac{1 + |\{i : u_i \ge u(x)\}|}{n + 1}

    It is the share of such queries that look at least as strange. A rule that treats queries below 0.05 as unknown
    is wrong for about 5 % of the queries of known classes, if support set and queries are like those of calibration.

    Temperature and unfamiliarities depend on the mean number of support images of a class. Between the two calibrated
    numbers they are interpolated along the number's logarithm; outside, they stay constant.

    Args:
        method: a trained method.
        calibration: of this method.
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
        """The method's adaptation, and `shots` float32 [1]; see `FewShotClassifier.adapt`."""
        classes, labels = tf.unique(self.method.support_classes(support_labels))
        shots = tf.cast(tf.size(labels), tf.float32) / tf.cast(tf.size(classes), tf.float32)
        return self.method.adapt(support_images, support_labels, training) | {"shots": shots[None]}

    def explain(self, support_images, support_labels) -> dict[str, tf.Tensor]:
        """Those of the method; see `FewShotClassifier.explain`."""
        return self.method.explain(support_images, support_labels)

    def classify(self, adaptation: Adaptation, query_images, query_statistics: Statistics = "support") -> tf.Tensor:
        """Logits whose softmax gives calibrated probabilities; see `FewShotClassifier.classify`."""
        logits = self.method.classify(adaptation, query_images, query_statistics)
        return logits / tf.cast(self._temperature(adaptation), logits.dtype)

    def unfamiliarity(self, adaptation: Adaptation, logits: tf.Tensor) -> tf.Tensor:
        """That of the method; see `FewShotClassifier.unfamiliarity`."""
        return self.method.unfamiliarity(adaptation, logits * tf.cast(self._temperature(adaptation), logits.dtype))

    def familiarity(self, adaptation: Adaptation, logits: tf.Tensor) -> tf.Tensor:
        """The p-value above; see `FewShotClassifier.familiarity`."""
        known = self._between(adaptation, self.calibration.unfamiliarities)
        strange = tf.cast(self.unfamiliarity(adaptation, logits), tf.float32)
        as_strange = tf.reduce_sum(tf.cast(known >= strange[:, None], tf.float32), axis=1)
        return (1.0 + as_strange) / (1.0 + known.shape[0])

    def _temperature(self, adaptation):
        return tf.exp(self._between(adaptation, np.log(self.calibration.temperatures)))

    def _between(self, adaptation, values):
        """Interpolates between two values, for few and for many shots, at the number of shots of an adaptation."""
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
    """The temperature with the smallest cross-entropy, among those from 1/1000 to 1000 in steps of 2 %.

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
