"""What meta-training descends with."""

import keras
import numpy as np

from ml_lstm import learners, methods
from ml_lstm.episode import Problem


def test_weight_decay_shrinks_kernels_and_nothing_else():
    network = learners.embedding(learners.conv4((16, 16, 1), 2, filters=2))
    method = methods.PrototypicalNetworks(network, Problem((16, 16, 1), 2))
    variables = method.trainable_variables
    before = [keras.ops.convert_to_numpy(variable) for variable in variables]
    optimizer = method.make_optimizer(10, learning_rate=0.5, adam_weight_decay=0.2)
    optimizer.apply([keras.ops.zeros(variable.shape) for variable in variables], variables)
    shares = [1 - 0.5 * 0.2 if variable.name == "kernel" else 1.0 for variable in variables]
    assert 0.9 in shares
    for variable, old, share in zip(variables, before, shares, strict=True):
        np.testing.assert_allclose(variable, share * old, rtol=1e-6, err_msg=variable.path)
