"""What `--strategy` names, and what can be shared by it."""

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
    """Who shares meta-steps, not yet started.

    Args:
        devices: of this machine, to train on.
        environment: where TF_CONFIG is looked for.
        strategy: who shares a meta-batch; the result is that of one device, but for rounding. mirrored: the devices of
            this machine; multi_worker: machines, by TF_CONFIG (docs/distributed.md).

    Raises:
        UserError: for devices or a TF_CONFIG that do not go with it.
    """
    if strategy == "multi_worker":
        return MultiWorker(devices, environment.get("TF_CONFIG"))
    return Mirrored(devices) if strategy == "mirrored" else Distribution()


def require_shareable(shared: Distribution, name: str, method: type[keras.Model], meta_batch_size: int) -> None:
    """Refuses what would not come to the result of one device.

    Args:
        shared: how meta-steps are to be shared.
        name: `--method`.
        method: its class, a `ml_lstm.training.MetaLearner`, or a partial of it.
        meta_batch_size: episodes a step.

    Raises:
        UserError: if the method takes a meta-batch as a whole or has no meta-steps, or the shares would be unequal.
    """
    method = options.target(method)
    if isinstance(shared, Mirrored) and not method.trains:
        raise UserError(f"--method={name} trains nothing that could be shared: leave out --strategy.")
    if shared.replicas > 1 and not method.splits_meta_batch:
        raise UserError(
            f"--method={name} takes a meta-batch as a whole, which no devices can share: leave out --strategy."
        )
    if meta_batch_size % shared.replicas:
        raise UserError(
            f"--meta_batch_size={meta_batch_size} cannot be shared evenly by {shared.replicas} devices: give a "
            f"multiple of {shared.replicas}."
        )
