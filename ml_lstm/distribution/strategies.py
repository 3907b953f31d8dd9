"""The strategies of `--strategy`, and the check of what can be distributed."""

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import keras

from ml_lstm import options
from ml_lstm.distribution.base import Distribution
from ml_lstm.distribution.mirrored import Mirrored
from ml_lstm.distribution.multi_worker import MultiWorker
from ml_lstm.errors import UserError
from ml_lstm.options import FREE, checked


@checked
def distribution(
    devices: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    *,
    strategy: Annotated[Literal["none", "mirrored", "multi_worker"], FREE] = "none",
) -> Distribution:
    """Creates a distribution, which is not yet started.

    Args:
        devices: devices of this machine to train on.
        environment: environment variables, of which TF_CONFIG is read.
        strategy: how a meta-batch is distributed; the result is that of one device, except for rounding. mirrored: over
            the devices of this machine. multi_worker: over machines, with TF_CONFIG (docs/distributed.md).

    Raises:
        UserError: if the devices or TF_CONFIG do not fit the strategy.
    """
    if strategy == "multi_worker":
        return MultiWorker(devices, environment.get("TF_CONFIG"))
    return Mirrored(devices) if strategy == "mirrored" else Distribution()


def require_shareable(shared: Distribution, name: str, method: type[keras.Model], meta_batch_size: int) -> None:
    """Checks that a distributed run gives the result of one device.

    Args:
        shared: the distribution.
        name: value of `--method`.
        method: the method's class, a `ml_lstm.training.MetaLearner`, or a partial of it.
        meta_batch_size: episodes per step.

    Raises:
        UserError: if the method takes a meta-batch as a whole or has no meta-steps, or the shares would be unequal.
    """
    method = options.target(method)
    if isinstance(shared, Mirrored) and not method.trains:
        raise UserError(f"--method={name} has no training to distribute: leave out --strategy.")
    if shared.replicas > 1 and not method.splits_meta_batch:
        raise UserError(
            f"--method={name} needs a meta-batch as a whole, so devices cannot share it: leave out --strategy."
        )
    if meta_batch_size % shared.replicas:
        raise UserError(
            f"--meta_batch_size={meta_batch_size} cannot be divided evenly among {shared.replicas} devices: use a "
            f"multiple of {shared.replicas}."
        )
