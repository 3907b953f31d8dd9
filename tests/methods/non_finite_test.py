"""Which episode it was whose loss was not finite."""

import pytest
import tensorflow as tf

from ml_lstm.methods.base import FirstNonFiniteEpisode

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("losses", "gradient_norm", "expected"),
    [([1, 2, 3, 4], 1.0, -1), ([1, 2, NAN, INF], NAN, 22), ([1, 2, 3, INF], 1.0, 23), ([1, 2, 3, 4], INF, 20)],
)
def test_the_first_episode_is_found_and_kept(losses, gradient_norm, expected):
    metric = FirstNonFiniteEpisode()
    metric.update_state(tf.constant(losses, tf.float32), tf.constant(gradient_norm), tf.constant(5, tf.int64))
    assert int(metric.result()) == expected
    if expected >= 0:
        metric.reset_state()
        metric.update_state(tf.constant([NAN] * 4), tf.constant(NAN), tf.constant(6, tf.int64))
        assert int(metric.result()) == expected
